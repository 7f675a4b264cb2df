//! mesh.toml: raw, validated, and the plan that follows from it.
