//! `COPY ... TO STDOUT`: rows in bulk, streamed and stopped as any other.

use super::connection::{Talk, stopped};
use super::encode::Copier;
use super::frame::Broken;
use super::rows::Rows;
use crate::serve::RowStream;
use crate::serve::statement::CopyOptions;
use arrow::datatypes::Schema;
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::{CopyDone, CopyOutResponse};

impl Talk<'_> {
    /// Sends every row in the form that was asked for.
    pub(super) async fn copy_out(
        &mut self,
        options: &CopyOptions,
        schema: &Schema,
        rows: RowStream,
    ) -> Result<(), Broken> {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let mut copier = Copier::new(options, &names)?;
        let formats = vec![copier.format(); names.len()];
        let code = copier.format().code();
        let response = CopyOutResponse::new(code as i8, names.len() as i16, vec![code; names.len()]);
        let mut rows = Rows::new(schema, rows, formats, self.style()?);
        self.outbox.add(PgWireBackendMessage::CopyOutResponse(response));
        copier.header(&names, self.outbox.buffer())?;
        let write = |encoder: &_, row, out: &mut _| copier.row(encoder, row, out);
        let sent = rows.send_as(self.outbox, None, write).await.map_err(stopped)?;
        copier.end(self.outbox.buffer())?;
        self.outbox.add(PgWireBackendMessage::CopyDone(CopyDone::new()));
        self.outbox.complete(format!("COPY {}", sent.rows));
        Ok(())
    }
}
