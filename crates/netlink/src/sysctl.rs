//! Kernel settings under `/proc/sys`, and the record of those that we changed.
