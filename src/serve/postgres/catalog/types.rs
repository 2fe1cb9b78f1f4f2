//! PostgreSQL's built-in types: their numbers, names and printed forms, and which of them an Arrow type is.
//!
//! Comes in: `data/pg_type.tsv`, the built-in types of PostgreSQL 15. Goes out: lookups by number and by name. The
//! numbers are PostgreSQL's own, because drivers have them compiled in.

use super::data::{self, Record};
use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The key of a field's metadata that names its PostgreSQL type where Arrow's does not tell: `oid`, `name`, `"char"`,
/// `regproc`, `int2vector` ... (spelt as in `pg_type.typname`).
pub const PG_TYPE_KEY: &str = "postgres.type";

/// The key of a field's metadata that tells its `typmod` where Arrow's type does not: `varchar(3)`; or where it does, but
/// nobody said so: a sum is a numeric of any precision.
pub const PG_TYPMOD_KEY: &str = "postgres.typmod";

/// The key of a field's metadata that tells which column of which relation it is: their numbers, with a point between.
pub const ORIGIN_KEY: &str = "postgres.origin";

/// `typmod` of a type without modifier.
pub const NO_TYPMOD: i32 = -1;

/// A column's PostgreSQL type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// `pg_type.oid`
    pub oid: i32,
    /// `pg_attribute.atttypmod`: precision and scale of a numeric.
    pub typmod: i32,
}

/// A built-in type.
#[derive(Clone, Debug)]
pub struct BuiltinType {
    /// `pg_type.oid`
    pub oid: i32,
    /// `pg_type.typname`: `int4`, `_text`.
    pub name: String,
    /// Bytes, -1 when it varies.
    pub length: i16,
    /// Whether it is passed by value.
    pub by_value: bool,
    /// `i`, `d`, `s` or `c`.
    pub align: String,
    /// `p` or `x`.
    pub storage: String,
    /// 100 for types that have collations.
    pub collation: i32,
    /// Of an array: its element.
    pub element: Option<i32>,
    /// Its array, 0 when it has none.
    pub array: i32,
    /// The row of `pg_type`.
    pub record: Record,
}

/// The built-in types, by number and by name.
#[derive(Debug)]
pub struct Types {
    by_oid: HashMap<i32, BuiltinType>,
    by_name: HashMap<String, i32>,
}

/// The built-in types.
pub fn types() -> &'static Types {
    static TYPES: LazyLock<Types> = LazyLock::new(|| {
        let by_oid: HashMap<i32, BuiltinType> = data::records(data::PG_TYPE)
            .into_iter()
            .map(|record| {
                let is_array = record.text("typcategory") == "A" && record.text("typsubscript") != "0";
                let ty = BuiltinType {
                    oid: record.int("oid"),
                    name: record.text("typname").to_string(),
                    length: i16::try_from(record.int("typlen")).unwrap_or(-1),
                    by_value: record.text("typbyval") == "t",
                    align: record.text("typalign").to_string(),
                    storage: record.text("typstorage").to_string(),
                    collation: record.int("typcollation"),
                    element: is_array.then(|| record.int("typelem")),
                    array: record.int("typarray"),
                    record,
                };
                (ty.oid, ty)
            })
            .collect();
        let by_name = by_oid.values().map(|t| (t.name.clone(), t.oid)).collect();
        Types { by_oid, by_name }
    });
    &TYPES
}

impl Types {
    /// The type of a number.
    pub fn by_oid(&self, oid: i32) -> Option<&BuiltinType> {
        self.by_oid.get(&oid)
    }

    /// The type of a `typname`, or of a name as SQL spells it (`bigint`, `timestamp without time zone`, `text[]`).
    pub fn by_name(&self, name: &str) -> Option<&BuiltinType> {
        let name = name.trim();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        if let Some(element) = name.strip_suffix("[]") {
            return self.by_oid(self.by_name(element)?.array);
        }
        if name == "\"char\"" {
            return self.by_oid(oid::CHAR);
        }
        let lower = name.to_lowercase();
        // Modifiers stand behind the first word: `timestamp(6) with time zone`.
        let bare = match lower.split_once('(') {
            Some((word, rest)) => {
                let rest = rest.split_once(')').map_or("", |(_, rest)| rest.trim());
                format!("{} {rest}", word.trim_end()).trim_end().to_string()
            }
            None => lower,
        };
        // `char` is the SQL name of bpchar; the one-byte type must be quoted.
        if let Some((typname, _)) = SQL_NAMES.iter().find(|(_, sql)| *sql == bare.as_str()) {
            return self.by_name.get(*typname).and_then(|oid| self.by_oid.get(oid));
        }
        self.by_name.get(bare.as_str()).and_then(|oid| self.by_oid.get(oid))
    }

    /// Every type, ordered by number.
    pub fn all(&self) -> Vec<&BuiltinType> {
        let mut all: Vec<_> = self.by_oid.values().collect();
        all.sort_by_key(|t| t.oid);
        all
    }

    /// The element of an array type. Vectors such as `int2vector` have a form of their own and are none.
    pub fn element_of(&self, array: i32) -> Option<i32> {
        let element = self.by_oid(array)?.element?;
        (self.by_oid(element)?.array == array).then_some(element)
    }

    /// A type as SQL spells it: `numeric(18,2)`, `timestamp without time zone`, `text[]` (PostgreSQL's `format_type`).
    pub fn format(&self, oid: i32, typmod: Option<i32>) -> String {
        if oid == 0 {
            return "-".to_string();
        }
        let Some(ty) = self.by_oid(oid) else {
            return "???".to_string();
        };
        if let Some(element) = self.element_of(oid) {
            return format!("{}[]", self.format(element, typmod));
        }
        let modifier = typmod.filter(|typmod| *typmod >= 0);
        match (ty.name.as_str(), modifier) {
            ("numeric", Some(typmod)) => {
                let (precision, scale) = numeric_of(typmod);
                format!("numeric({precision},{scale})")
            }
            ("varchar" | "bpchar", Some(typmod)) => format!("{}({})", sql_name(&ty.name), typmod - 4),
            ("timestamp", Some(precision)) => format!("timestamp({precision}) without time zone"),
            ("timestamptz", Some(precision)) => format!("timestamp({precision}) with time zone"),
            ("char" | "any", _) => format!("\"{}\"", ty.name),
            (name, _) => sql_name(name).to_string(),
        }
    }
}

/// `typname` and SQL's spelling, where they differ; the first spelling of a type is how it is printed.
const SQL_NAMES: [(&str, &str); 20] = [
    ("bool", "boolean"),
    ("int2", "smallint"),
    ("int4", "integer"),
    ("int4", "int"),
    ("int8", "bigint"),
    ("float4", "real"),
    ("float8", "double precision"),
    ("float8", "float"),
    ("numeric", "decimal"),
    ("bpchar", "character"),
    ("bpchar", "char"),
    ("varchar", "character varying"),
    ("timestamp", "timestamp without time zone"),
    ("timestamptz", "timestamp with time zone"),
    ("time", "time without time zone"),
    ("timetz", "time with time zone"),
    ("bit", "bit"),
    ("varbit", "bit varying"),
    ("numeric", "dec"),
    ("interval", "interval"),
];

fn sql_name(typname: &str) -> &str {
    match typname {
        "numeric" => typname,
        _ => SQL_NAMES.iter().find(|(name, _)| *name == typname).map_or(typname, |(_, sql)| sql),
    }
}

/// The numbers of the types that Arrow types become.
#[allow(missing_docs)]
pub mod oid {
    pub const BOOL: i32 = 16;
    pub const BYTEA: i32 = 17;
    pub const CHAR: i32 = 18;
    pub const NAME: i32 = 19;
    pub const INT8: i32 = 20;
    pub const INT2: i32 = 21;
    pub const INT4: i32 = 23;
    pub const TEXT: i32 = 25;
    pub const OID: i32 = 26;
    pub const JSON: i32 = 114;
    pub const FLOAT4: i32 = 700;
    pub const FLOAT8: i32 = 701;
    pub const UNKNOWN: i32 = 705;
    pub const BPCHAR: i32 = 1042;
    pub const VARCHAR: i32 = 1043;
    pub const DATE: i32 = 1082;
    pub const TIME: i32 = 1083;
    pub const TIMESTAMP: i32 = 1114;
    pub const TIMESTAMPTZ: i32 = 1184;
    pub const INTERVAL: i32 = 1186;
    pub const NUMERIC: i32 = 1700;
    pub const UUID: i32 = 2950;
    pub const JSONB: i32 = 3802;

    /// `regproc`, `regprocedure`, `regclass`, `regtype`, `regrole`, `regnamespace`: numbers that print as names.
    pub const IDENTIFIERS: [i32; 6] = [24, 2202, 2205, 2206, 4096, 4089];
}

/// `typmod` of `numeric(precision, scale)`.
pub fn numeric_typmod(precision: u8, scale: i8) -> i32 {
    ((i32::from(precision) << 16) | (i32::from(scale) & 0x7ff)) + 4
}

/// Precision and scale of a numeric's `typmod`.
pub fn numeric_of(typmod: i32) -> (i32, i32) {
    let packed = typmod - 4;
    // The scale is a signed number of 11 bits.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    ((packed >> 16) & 0xffff, scale)
}

/// The PostgreSQL type of a column of a relation.
pub fn column_type(field: &Field) -> ColumnType {
    let named = field.metadata().get(PG_TYPE_KEY).and_then(|name| types().by_name.get(name));
    let said = field.metadata().get(PG_TYPMOD_KEY).and_then(|typmod| typmod.parse().ok());
    if let Some(oid) = named {
        return ColumnType { oid: *oid, typmod: said.unwrap_or(NO_TYPMOD) };
    }
    let found = match field.data_type() {
        DataType::FixedSizeBinary(16) if field.extension_type_name() == Some("arrow.uuid") => {
            ColumnType { oid: oid::UUID, typmod: NO_TYPMOD }
        }
        data_type => data_column_type(data_type),
    };
    ColumnType { typmod: said.unwrap_or(found.typmod), ..found }
}

/// The PostgreSQL type of values without a field.
pub fn data_column_type(data_type: &DataType) -> ColumnType {
    let oid = match data_type {
        DataType::Boolean => oid::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => oid::INT2,
        DataType::Int32 | DataType::UInt16 => oid::INT4,
        DataType::Int64 | DataType::UInt32 => oid::INT8,
        DataType::UInt64 => oid::NUMERIC,
        DataType::Float16 | DataType::Float32 => oid::FLOAT4,
        DataType::Float64 => oid::FLOAT8,
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => {
            return ColumnType { oid: oid::NUMERIC, typmod: numeric_typmod(*p, *s) };
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            oid::BYTEA
        }
        DataType::Date32 | DataType::Date64 => oid::DATE,
        DataType::Time32(_) | DataType::Time64(_) => oid::TIME,
        DataType::Timestamp(_, None) => oid::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => oid::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => oid::INTERVAL,
        DataType::Struct(_) | DataType::Map(..) | DataType::Union(..) => oid::JSON,
        DataType::Dictionary(_, values) => return data_column_type(values),
        DataType::RunEndEncoded(_, values) => return column_type(values),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => {
            let item = column_type(item);
            let array = types().by_oid(item.oid).map_or(0, |t| t.array);
            return ColumnType { oid: if array == 0 { item.oid } else { array }, typmod: item.typmod };
        }
        _ => oid::TEXT,
    };
    ColumnType { oid, typmod: NO_TYPMOD }
}

/// How a column of a system catalog is held in Arrow.
pub fn arrow_type(typname: &str) -> DataType {
    let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
    match typname {
        "bool" => DataType::Boolean,
        "int2" => DataType::Int16,
        "int4" | "oid" | "xid" | "cid" | "regproc" | "regprocedure" | "regtype" | "regclass" | "regrole"
        | "regnamespace" | "cardinal_number" => DataType::Int32,
        "int8" => DataType::Int64,
        "float4" => DataType::Float32,
        "float8" => DataType::Float64,
        "numeric" => DataType::Decimal128(38, 0),
        "timestamptz" | "time_stamp" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        "interval" => DataType::Interval(IntervalUnit::MonthDayNano),
        "bytea" => DataType::Binary,
        "int2vector" | "_int2" => list(DataType::Int16),
        "oidvector" | "_oid" | "_regtype" => list(DataType::Int32),
        "_bool" => list(DataType::Boolean),
        "_float4" => list(DataType::Float32),
        "_float8" => list(DataType::Float64),
        "_text" | "_name" | "_char" | "_aclitem" | "_pg_statistic" => list(DataType::Utf8),
        // name, text, "char", pg_node_tree, information_schema's domains and other things that print as text.
        _ => DataType::Utf8,
    }
}

/// A column of a system catalog as an Arrow field; nullable, as computed columns of catalogs are.
pub fn arrow_field(name: &str, typname: &str) -> Field {
    let field = Field::new(name, arrow_type(typname), true);
    // information_schema's domains stand on these types.
    let base = match typname {
        "sql_identifier" => "name",
        "character_data" | "yes_or_no" => "varchar",
        "cardinal_number" => "int4",
        "time_stamp" => "timestamptz",
        other => other,
    };
    field.with_metadata(HashMap::from([(PG_TYPE_KEY.to_string(), base.to_string())]))
}
