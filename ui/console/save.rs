//! Writes a table into a file that nobody has yet. What comes in pages from the farmer is never held whole.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use farmconsole::snapshot::page::{Page, PageRequest};

use super::export::{Discretion, Format, Part, Table};

/// Writes all of `table`; says how many rows, and where the file is.
pub(super) async fn save_table(path: String, format: Format, table: Table) -> Result<(u64, String), String> {
    let path = absolute(&path)?;
    let rows = table.rows() as u64;
    write(&path, table.text(format, Part::First), Part::First).await?;
    Ok((rows, path.display().to_string()))
}

/// Writes every page from `first` on, as `ask` gets them.
pub(super) async fn save_pages<A, F>(
    path: String,
    format: Format,
    first: PageRequest,
    tell: Discretion,
    ask: A,
) -> Result<(u64, String), String>
where
    A: Fn(PageRequest) -> F,
    F: Future<Output = Result<Page, String>>,
{
    let path = absolute(&path)?;
    let mut request = first;
    let mut part = Part::First;
    loop {
        let page = ask(request.clone()).await?;
        let table = Table::of_page(&page, &tell);
        write(&path, table.text(format, part), part).await?;
        part = Part::Later;
        request.offset += table.rows() as u64;
        if table.rows() == 0 || request.offset >= page.total {
            return Ok((request.offset, path.display().to_string()));
        }
    }
}

fn absolute(path: &str) -> Result<PathBuf, String> {
    let path = match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    };
    std::path::absolute(&path).map_err(|e| told(&path, &e))
}

async fn write(path: &Path, text: String, part: Part) -> Result<(), String> {
    let file = path.to_owned();
    // A slow or hanging disk holds up this file and nothing else.
    let writing = tokio::task::spawn_blocking(move || {
        let mut options = OpenOptions::new();
        match part {
            Part::First => options.write(true).create_new(true),
            Part::Later => options.append(true),
        };
        options.open(file)?.write_all(text.as_bytes())
    });
    match writing.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(told(path, &error)),
        Err(error) => Err(format!("write {}: {error}", path.display())),
    }
}

fn told(path: &Path, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::AlreadyExists {
        format!("{} exists already, and nothing is overwritten", path.display())
    } else {
        format!("write {}: {error}", path.display())
    }
}

#[cfg(test)]
mod tests {
    use farmconsole::snapshot::page::ListKind;

    use super::super::samples;
    use super::*;

    #[tokio::test]
    async fn all_pages_are_saved_under_one_title_and_nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plots.csv").display().to_string();
        let first = PageRequest::first(None, ListKind::Plots, 500);
        let ask = |request: PageRequest| async move {
            let mut page = samples::page(1_200, true);
            page.items.truncate(1_200_usize.saturating_sub(request.offset as usize));
            Ok(page)
        };
        let tell = Discretion::default();
        let saved = save_pages(path.clone(), Format::Csv, first.clone(), tell.clone(), ask).await;
        assert_eq!(saved, Ok((1_200, path.clone())));
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1_201);
        assert_eq!(text.matches("harvester,file,plot_id").count(), 1);

        let again = save_pages(path.clone(), Format::Csv, first, tell, ask).await;
        assert!(again.is_err_and(|why| why.contains("nothing is overwritten")));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}
