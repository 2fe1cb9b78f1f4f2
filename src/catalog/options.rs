//! Values of options: as they are written, or as they are kept where a secret is.

use crate::ops::secret::{Error, Secrets};
use crate::sql::OptionValue;

/// An option's value now; an error says where its secret was looked for.
pub async fn value_of(option: &OptionValue, secrets: &Secrets) -> Result<String, Error> {
    match option {
        OptionValue::Text(text) => Ok(text.clone()),
        OptionValue::Secret(name) => Ok(secrets.get(name).await?.reveal().to_string()),
    }
}

/// An option's value turned out to be wrong: a secret is read again when it is needed next.
pub fn doubt(option: &OptionValue, secrets: &Secrets) {
    if let OptionValue::Secret(name) = option {
        secrets.doubt(name);
    }
}
