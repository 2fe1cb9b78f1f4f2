//! Reading single rows of local files: their footers come from memory with the offset index, so that only the pages of
//! those rows are read. DataFusion's own reader asks for the offset index only to prune.

use super::TableName;
use super::in_place::InPlace;
use super::index::Indexes;
use bytes::Bytes;
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::ParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::ChunkReader as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use url::Url;

/// Marks a file of a scan as one of which few rows are wanted, and known.
#[derive(Debug)]
pub(super) struct LookedUp;

/// Opens files of one table: those that are looked up here, the others as DataFusion does.
#[derive(Debug)]
pub(super) struct Readers {
    pub(super) table: TableName,
    pub(super) indexes: Arc<Indexes>,
    pub(super) whole: CachedParquetFileReaderFactory,
}

impl ParquetFileReaderFactory for Readers {
    fn create_reader(
        &self,
        partition: usize,
        file: PartitionedFile,
        size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Box<dyn AsyncFileReader + Send>> {
        if file.extensions.get::<LookedUp>().is_none() {
            return self.whole.create_reader(partition, file, size_hint, metrics);
        }
        let external = |e: Box<dyn std::error::Error + Send + Sync>| DataFusionError::External(e);
        // A location is a path with its special characters escaped, as in a URL.
        let url = Url::parse(&format!("file:///{}", file.object_meta.location))
            .map_err(|e| external(Box::new(e)))?;
        let path = url.to_file_path().map_err(|()| external(format!("{url} is no path").into()))?;
        let path: Arc<Path> = Arc::from(path);
        let open = InPlace::open(&path).map_err(|e| external(Box::new(e)))?;
        let footer = self.indexes.footer(&self.table, &path, &open).map_err(|e| external(Box::new(e)))?;
        Ok(Box::new(LookupReader { file: open, footer: Arc::clone(footer.metadata()) }))
    }
}

/// One open file. Pages that are looked up are small: reading them in place is cheaper than handing them to a thread.
struct LookupReader {
    file: InPlace,
    footer: Arc<ParquetMetaData>,
}

impl AsyncFileReader for LookupReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        let length = usize::try_from(range.end - range.start).unwrap_or_default();
        ready(self.file.get_bytes(range.start, length)).boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        ready(Ok(Arc::clone(&self.footer))).boxed()
    }
}
