// A small JSON reader and writer.
#include "io/json.h"

#include <charconv>
#include <cmath>
#include <set>

#include "base/digits.h"
#include "base/error.h"
#include "io/utf8.h"

namespace tidu::io {
namespace {

void append_utf8(std::string& to, uint32_t code) {
  if (code < 0x80) {
    to += static_cast<char>(code);
    return;
  }
  const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  const uint32_t lead = more == 1 ? 0xc0 : more == 2 ? 0xe0 : 0xf0;
  to += static_cast<char>(lead | code >> 6 * more);
  for (int k = more - 1; k >= 0; --k) to += static_cast<char>(0x80 | (code >> 6 * k & 0x3f));
}

}  // namespace

void JsonReader::refuse(const std::string& what) const {
  fail<FileError>(context_, ": ", what, " (at byte ", position_, " of the header)");
}

void JsonReader::skip_blanks() {
  position_ = std::min(text_.find_first_not_of(" \t\r\n", position_), text_.size());
}

char JsonReader::peek() {
  skip_blanks();
  return position_ < text_.size() ? text_[position_] : '\0';
}

bool JsonReader::accept(char c) {
  if (peek() != c || position_ == text_.size()) return false;
  ++position_;
  return true;
}

void JsonReader::expect(char c) {
  if (!accept(c)) refuse(str("'", c, "' expected"));
}

void JsonReader::read_object(const std::function<void(const std::string& key)>& member) {
  std::set<std::string> keys;
  expect('{');
  if (accept('}')) return;
  do {
    const std::string key = read_string();
    if (!keys.insert(key).second) refuse(str("the key '", key, "' is given twice"));
    expect(':');
    member(key);
  } while (accept(','));
  expect('}');
}

uint32_t JsonReader::read_hex4() {
  uint32_t code = 0;
  const char* begin = text_.data() + position_;
  if (text_.size() - position_ < 4) refuse("a string does not end");
  if (std::from_chars(begin, begin + 4, code, 16).ptr != begin + 4) refuse("bad \\u escape");
  position_ += 4;
  return code;
}

void JsonReader::append_escape(std::string& to) {
  if (position_ == text_.size()) refuse("a string does not end");
  const char c = text_[position_++];
  if (c == 'u') {
    uint32_t code = read_hex4();
    if (code >= 0xd800 && code < 0xdc00 && text_.substr(position_, 2) == "\\u") {
      position_ += 2;
      const uint32_t low = read_hex4();
      if (low < 0xdc00 || low > 0xdfff) refuse("a surrogate stands alone");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xd800 && code < 0xe000) {
      refuse("a surrogate stands alone");
    }
    append_utf8(to, code);
    return;
  }
  constexpr std::string_view letters = "\"\\/bfnrt", meanings = "\"\\/\b\f\n\r\t";
  const size_t which = letters.find(c);
  if (which == letters.npos) refuse("bad escape");
  to += meanings[which];
}

std::string JsonReader::read_string() {
  expect('"');
  std::string value;
  for (;;) {
    if (position_ == text_.size()) refuse("a string does not end");
    const char c = text_[position_++];
    if (c == '"') break;
    if (static_cast<uint8_t>(c) < 0x20) refuse("a control character in a string");
    if (c == '\\') {
      append_escape(value);
    } else {
      value += c;
    }
  }
  if (!is_utf8(value)) refuse("a string is not UTF-8");
  return value;
}

template <class T> T JsonReader::read_whole(const char* range) {
  skip_blanks();
  T value = 0;
  const char *begin = text_.data() + position_, *end = text_.data() + text_.size();
  const auto [stop, error] = std::from_chars(begin, end, value);
  const bool whole = stop == end || std::string_view(".eE0123456789").find(*stop) == std::string_view::npos;
  const char* const first = begin + (begin != end && *begin == '-');
  if (error != std::errc() || !whole || (*first == '0' && stop != first + 1))
    refuse(str("an integer from ", range, " expected"));
  position_ = static_cast<size_t>(stop - text_.data());
  return value;
}

int64_t JsonReader::read_integer() { return read_whole<int64_t>("-2^63 to 2^63 - 1"); }

std::vector<uint64_t> JsonReader::read_integers() {
  std::vector<uint64_t> values;
  read_array([&] { values.push_back(read_whole<uint64_t>("0 to 2^64 - 1")); });
  return values;
}

std::vector<int64_t> JsonReader::read_signed_integers() {
  std::vector<int64_t> values;
  read_array([&] { values.push_back(read_integer()); });
  return values;
}

double JsonReader::read_number() {
  std::string text;
  if (peek() == '"') {
    text = read_string();
    if (const auto number = number_from(text); number && !std::isfinite(*number)) return *number;
    refuse("a number expected");
  }
  const size_t end = std::min(text_.find_first_not_of("+-.eE0123456789", position_), text_.size());
  const auto number = number_from(text_.substr(position_, end - position_));
  if (!number) refuse("a number expected");
  position_ = end;
  return *number;
}

bool JsonReader::read_bool() {
  skip_blanks();
  for (const bool value : {false, true}) {
    const std::string_view name = value ? "true" : "false";
    if (text_.substr(position_, name.size()) != name) continue;
    position_ += name.size();
    return value;
  }
  refuse("true or false expected");
}

bool JsonReader::accept_null() {
  skip_blanks();
  constexpr std::string_view null = "null";
  if (text_.substr(position_, null.size()) != null) return false;
  position_ += null.size();
  return true;
}

void JsonReader::read_array(const std::function<void()>& element) {
  expect('[');
  if (accept(']')) return;
  do { element(); } while (accept(','));
  expect(']');
}

void JsonReader::expect_end() {
  skip_blanks();
  if (position_ != text_.size()) refuse("more follows its end");
}

void JsonWriter::separate() {
  if (!text_.empty() && std::string_view("{[:").find(text_.back()) == std::string_view::npos) text_ += ',';
}

void JsonWriter::quote(std::string_view value) {
  separate();
  if (!is_utf8(value)) fail<ValueError>("[save] a name or metadata string is not UTF-8");
  text_ += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (static_cast<uint8_t>(c) < 0x20) {
      text_ += str("\\u00", c < 16 ? '0' : '1', "0123456789abcdef"[c & 15]);
    } else {
      text_ += c;
    }
  }
  text_ += '"';
}

JsonWriter& JsonWriter::begin_object() {
  separate();
  text_ += '{';
  return *this;
}
JsonWriter& JsonWriter::end_object() {
  text_ += '}';
  return *this;
}
JsonWriter& JsonWriter::begin_array() {
  separate();
  text_ += '[';
  return *this;
}
JsonWriter& JsonWriter::end_array() {
  text_ += ']';
  return *this;
}
JsonWriter& JsonWriter::key(std::string_view name) {
  quote(name);
  text_ += ':';
  return *this;
}
JsonWriter& JsonWriter::string(std::string_view value) {
  quote(value);
  return *this;
}
JsonWriter& JsonWriter::integers(std::span<const int64_t> values) {
  begin_array();
  for (int64_t value : values) integer(value);
  return end_array();
}
JsonWriter& JsonWriter::integer(int64_t value) {
  separate();
  text_ += std::to_string(value);
  return *this;
}
JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return string(exact(value));
  separate();
  text_ += exact(value);
  return *this;
}
JsonWriter& JsonWriter::null() {
  separate();
  text_ += "null";
  return *this;
}
JsonWriter& JsonWriter::boolean(bool value) {
  separate();
  text_ += value ? "true" : "false";
  return *this;
}

}  // namespace tidu::io
