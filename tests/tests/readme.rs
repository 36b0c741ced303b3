//! What the documentation shows is true.

use std::collections::BTreeSet;
use std::path::Path;

use tp_control::config;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ is in the repository")
}

#[test]
fn the_readmes_configuration_is_good() {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").expect("a configuration");
    let (text, _) = rest.split_once("```").expect("its end");
    let (model, _) = config::parse("README.md", text, &BTreeSet::from([0])).unwrap();
    assert_eq!((model.upstreams.len(), model.tunnels.len()), (2, 2));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/ARCHITECTURE.md",
        "docs/benchmarks.md",
    ];
    for document in documents {
        let path = repository().join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if !target.contains("://") {
                let target = path.parent().unwrap().join(target);
                assert!(target.exists(), "{document} links to {}", target.display());
            }
        }
    }
}
