//! Arguments, files, error messages and exit codes; no namespaces.
