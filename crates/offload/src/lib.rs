//! Arithmetic of segmentation offloads: virtio headers, split, coalesce, checksums, trains.
