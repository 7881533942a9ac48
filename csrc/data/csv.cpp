// Tables of numbers in CSV files.
#include "data/csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>

#include "data/packed_file.h"
#include "io/utf8.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu::data {
namespace {

struct Row {
  std::vector<std::string> fields;
  int64_t line = 0;  // where it begins, from 1
};

class CsvReader {
 public:
  CsvReader(const Path& path, char delimiter)
      : path_(path), text_(PackedFile(path).read_rest()), delimiter_(delimiter) {
    if (text_.starts_with("\xef\xbb\xbf")) position_ = 3;  // some editors begin UTF-8 files so
  }

  // The next row that is not empty; false at the end.
  bool next(Row& row) {
    while (position_ < text_.size()) {
      row.line = line_;
      row.fields.clear();
      do row.fields.push_back(read_field());
      while (accept(delimiter_));
      accept('\r');
      if (position_ < text_.size() && !accept('\n')) fail_at(line_, "text after a closing quote");
      ++line_;
      if (row.fields.size() > 1 || !row.fields[0].empty()) return true;
    }
    return false;
  }

  [[noreturn]] void fail_at(int64_t line, const auto&... what) const {
    fail<FileError>(path_.string(), ": line ", line, ": ", what...);
  }

 private:
  bool accept(char c) {
    if (position_ == text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  std::string read_field() {
    if (accept('"')) return read_quoted();
    size_t end = position_;
    while (end < text_.size() && text_[end] != delimiter_ && text_[end] != '\n') ++end;
    std::string field = text_.substr(position_, end - position_);
    position_ = end;
    if ((end == text_.size() || text_[end] == '\n') && field.ends_with('\r')) field.pop_back();
    return field;
  }

  std::string read_quoted() {
    const int64_t first_line = line_;
    std::string field;
    for (;;) {
      if (position_ == text_.size()) fail_at(first_line, "a quoted field does not end");
      const char c = text_[position_++];
      if (c == '"' && !accept('"')) return field;
      line_ += c == '\n';
      field += c;
    }
  }

  const Path& path_;
  std::string text_;
  char delimiter_;
  size_t position_ = 0;
  int64_t line_ = 1;
};

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  return begin == text.npos ? std::string_view()
                            : text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

// A number in text, exactly: an integer type takes "3.0" and "1e2", too. What is none, or does not fit, is
// told by the error.
template <class T> std::errc parse(std::string_view text, T& value) {
  text = trim(text);
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (stop == end && error == std::errc()) return {};
  if constexpr (std::is_same_v<T, double>) {
    if (stop != end || error != std::errc::result_out_of_range) return std::errc::invalid_argument;
    value = std::strtod(std::string(text).c_str(), nullptr);  // which tells too small from too large
    return std::isinf(value) ? std::errc::result_out_of_range : std::errc();
  } else {
    if (stop == end) return error;
    double real;
    if (const std::errc other = parse(text, real); other != std::errc()) return other;
    if (real != std::trunc(real)) return std::errc::invalid_argument;
    constexpr double kExact = uint64_t{1} << 53;
    if (std::abs(real) > kExact || (real < 0 && std::is_unsigned_v<T>)) return std::errc::result_out_of_range;
    value = static_cast<T>(real);
    return {};
  }
}

// Whether a number keeps its value in a dtype, as far as floating-point numbers do: it does not become
// infinite.
template <class Wide> bool fits(Wide value, DType dtype) {
  return visit_dtype(dtype, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>) {
      return value == 0 || value == 1;
    } else if constexpr (std::is_integral_v<T> && std::is_integral_v<Wide>) {
      return std::in_range<T>(value);
    } else {
      return !std::isfinite(static_cast<double>(value)) ||
             std::isfinite(static_cast<double>(static_cast<T>(static_cast<double>(value))));
    }
  });
}

// Every label as a T, or nothing where one is none.
template <class T> std::optional<std::vector<T>> parse_all(const std::vector<std::string>& labels) {
  std::vector<T> values;
  for (const std::string& label : labels) {
    T value;
    if (parse(label, value) != std::errc()) return {};
    values.push_back(value);
  }
  return values;
}

// The position of the label column, or -1.
int64_t find_label(const CsvOptions& options, const std::vector<std::string>& names, int64_t width,
                   const Path& path) {
  if (const auto* name = std::get_if<std::string>(&options.label_column)) {
    const auto found = std::ranges::find(names, *name);
    if (found == names.end()) fail<FileError>(path.string(), ": has no column '", *name, "'");
    return found - names.begin();
  }
  if (const auto* position = std::get_if<int64_t>(&options.label_column)) {
    if (*position < -width || *position >= width)
      fail<FileError>(path.string(), ": has no column ", *position, ", only ", width);
    return *position < 0 ? *position + width : *position;
  }
  return -1;
}

void set_labels(CsvTable& table, const std::vector<std::string>& labels, DType dtype) {
  const Shape shape{static_cast<int64_t>(labels.size())};
  if (const auto integers = parse_all<int64_t>(labels)) {
    table.labels = tensor(std::span(*integers), shape);
  } else if (const auto reals = parse_all<double>(labels)) {
    table.labels = astype(tensor(std::span(*reals), shape), dtype);
  } else {
    const std::set<std::string> classes(labels.begin(), labels.end());
    table.classes.assign(classes.begin(), classes.end());
    std::vector<int64_t> numbers;
    for (const std::string& label : labels)
      numbers.push_back(std::ranges::lower_bound(table.classes, label) - table.classes.begin());
    table.labels = tensor(std::span<const int64_t>(numbers), shape);
  }
}

// Reads the numbers as `Wide`, which holds all values of the dtype.
template <class Wide> CsvTable read_table(const Path& path, const CsvOptions& options) {
  CsvReader reader(path, options.delimiter);
  CsvTable table;
  Row row;
  std::vector<std::string> names, labels;
  const auto keep_text = [&](const std::string& text) {
    if (!io::is_utf8(text)) reader.fail_at(row.line, "'", text, "' is not UTF-8");
    return text;
  };
  if (options.header && reader.next(row)) {
    for (const std::string& name : row.fields) names.push_back(keep_text(name));
  }
  std::vector<Wide> values;
  int64_t rows = 0, width = static_cast<int64_t>(names.size()), label = -1;
  if (options.header) label = find_label(options, names, width, path);
  while (reader.next(row)) {
    const auto found = static_cast<int64_t>(row.fields.size());
    if (rows == 0 && !options.header) {
      width = found;
      label = find_label(options, names, width, path);
    }
    if (found != width) reader.fail_at(row.line, "has ", found, " fields, not ", width);
    for (int64_t i = 0; i < width; ++i) {
      const std::string& field = row.fields[i];
      if (i == label) {
        labels.push_back(keep_text(field));
        continue;
      }
      Wide value;
      const std::errc error = parse(field, value);
      const bool is_number = error == std::errc() || error == std::errc::result_out_of_range;
      if (error != std::errc() || !fits(value, options.dtype)) {
        reader.fail_at(row.line, "column ", options.header ? "'" + names[i] + "'" : str(i), ": '", field,
                       is_number ? "' does not fit " : "' is not a number of ", options.dtype);
      }
      values.push_back(value);
    }
    ++rows;
  }
  for (int64_t i = 0; i < static_cast<int64_t>(names.size()); ++i) {
    if (i != label) table.columns.push_back(names[i]);
  }
  const Shape shape{rows, width - (label >= 0)};
  table.values = astype(tensor(std::span<const Wide>(values), shape), options.dtype);
  if (label >= 0) set_labels(table, labels, options.dtype);
  return table;
}

}  // namespace

CsvTable read_csv(const Path& path, const CsvOptions& options) {
  if (is_complex(options.dtype)) fail<DTypeError>("[read_csv] reads no ", options.dtype);
  switch (kind_of(options.dtype)) {
    case Kind::floating: return read_table<double>(path, options);
    case Kind::unsigned_integer: return read_table<uint64_t>(path, options);
    default: return read_table<int64_t>(path, options);
  }
}

}  // namespace tidu::data
