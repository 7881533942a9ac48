// Tables of numbers in CSV files (RFC 4180).
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "io/files.h"
#include "tensor/tensor.h"

namespace tidu::data {

using io::Path;

struct CsvOptions {
  char delimiter = ',';
  bool header = true;  // the first row names the columns
  // The column to hold apart, by name or by position (negative: from the end).
  std::variant<std::monostate, std::string, int64_t> label_column{};
  DType dtype = kDefaultFloat;
};

struct CsvTable {
  Tensor values;                     // (rows, columns) of options.dtype, without the label column
  std::vector<std::string> columns;  // their names; empty without a header
  // Undefined without a label column. Integers are int64 as they are, other numbers are of options.dtype, and
  // text is int64: the position in `classes`.
  Tensor labels;                     // (rows)
  std::vector<std::string> classes;  // the distinct labels in alphabetical order where they are text
};

// Reads a file, plain or gzipped. Fields may be in double quotes ("" within them is a quote) and span lines
// there; empty lines are skipped. A field that is no number or does not fit options.dtype, text that is not
// UTF-8 and a row of the wrong length are FileErrors that name file, line and column.
CsvTable read_csv(const Path& path, const CsvOptions& options = {});

}  // namespace tidu::data
