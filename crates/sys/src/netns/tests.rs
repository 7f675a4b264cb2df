//! Against the real kernel, in namespaces made here.
