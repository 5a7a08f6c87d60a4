//! Entry functions for the fuzz targets, one per parser. Not part of the library's face.
