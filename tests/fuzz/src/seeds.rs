//! Writes the seeds into `corpus/<target>/<name>` beside this package's `Cargo.toml`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let seeds = farmconsole_fuzz::seeds();
    for seed in &seeds {
        let folder = corpus.join(seed.target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(&seed.name), &seed.input)?;
    }
    println!("{} seeds in {}", seeds.len(), corpus.display());
    Ok(())
}
