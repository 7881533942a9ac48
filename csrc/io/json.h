// As much of JSON (RFC 8259) as tidu's files need: values in a shape that the caller knows.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tidu::io {

// Reads what it is asked for and refuses all else with a FileError that begins with `context`. It never
// recurses on its own, so no text can exhaust the stack.
class JsonReader {
 public:
  JsonReader(std::string_view text, std::string context) : text_(text), context_(std::move(context)) {}

  // Calls member(key), which must read the value, for each member; a key given twice is refused.
  void read_object(const std::function<void(const std::string& key)>& member);
  // Calls element(), which must read the value, for each element.
  void read_array(const std::function<void()>& element);
  std::string read_string();  // UTF-8
  std::vector<uint64_t> read_integers();
  int64_t read_integer();
  std::vector<int64_t> read_signed_integers();
  double read_number();  // as JsonWriter::number writes it
  bool read_bool();
  bool accept_null();  // whether null is next, which it then read
  // Only blanks may be left.
  void expect_end();
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  void skip_blanks();
  char peek();
  bool accept(char c);
  void expect(char c);
  template <class T> T read_whole(const char* range);
  uint32_t read_hex4();
  void append_escape(std::string& to);

  std::string_view text_;
  std::string context_;
  size_t position_ = 0;
};

// Writes what it is told; throws ValueError for a string that is not UTF-8.
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);
  JsonWriter& string(std::string_view value);
  JsonWriter& integers(std::span<const int64_t> values);
  JsonWriter& integer(int64_t value);
  // With all its bits: what is no number of JSON is a string, "nan" or "-inf".
  JsonWriter& number(double value);
  JsonWriter& boolean(bool value);
  JsonWriter& null();
  const std::string& text() const { return text_; }

 private:
  void separate();
  void quote(std::string_view value);

  std::string text_;
};

}  // namespace tidu::io
