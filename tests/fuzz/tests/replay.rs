//! Every file of every corpus goes through its target.

use std::{fs, path::Path};

#[test]
fn every_input_of_every_corpus_passes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in meshtun_fuzz::TARGETS {
        let folder = corpus.join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut inputs = 0;
        for file in files {
            let path = file.expect("the folder can be read").path();
            let input = fs::read(&path).expect("an input can be read");
            // So that a failure names its input.
            let replayed = std::panic::catch_unwind(|| target(&input));
            assert!(replayed.is_ok(), "{name} fails on {}", path.display());
            inputs += 1;
        }
        assert!(inputs >= 5, "the corpus of {name} has only {inputs} inputs");
        target(&[]);
    }
}

#[test]
fn every_target_has_a_libfuzzer_wrapper() {
    let wrappers = Path::new(env!("CARGO_MANIFEST_DIR")).join("targets/fuzz_targets");
    for (name, _) in meshtun_fuzz::TARGETS {
        assert!(wrappers.join(format!("{name}.rs")).exists(), "targets/fuzz_targets/{name}.rs");
    }
}
