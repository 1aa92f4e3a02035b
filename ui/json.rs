//! Objects as `--json` prints them in lists.

use std::io;

use serde::Serialize;

use crate::exit::Failure;

/// Version of the objects that lists print. Fields are only added; a changed meaning raises it.
const VERSION: u32 = 1;

/// An item of a list as `--json` prints it: one line, with its version.
pub(crate) fn json_line(item: &impl Serialize) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Line<'a, T> {
        version: u32,
        #[serde(flatten)]
        item: &'a T,
    }
    let line = Line { version: VERSION, item };
    serde_json::to_string(&line).map_err(|e| io::Error::from(e).into())
}
