// The safetensors format.
#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>
#include <set>

#include "core/escape.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu::io {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;  // as in the reference implementation
constexpr const char* kMetadataName = "__metadata__";

struct TypeName {
  const char* name;
  DType dtype;
};
constexpr TypeName kTypeNames[] = {
    {"BOOL", DType::bool_},  {"I8", DType::int8},     {"I16", DType::int16},     {"I32", DType::int32},
    {"I64", DType::int64},   {"U8", DType::uint8},    {"U16", DType::uint16},    {"U32", DType::uint32},
    {"U64", DType::uint64},  {"F16", DType::float16}, {"BF16", DType::bfloat16}, {"F32", DType::float32},
    {"F64", DType::float64},
};

const char* type_name(DType dtype) { return std::ranges::find(kTypeNames, dtype, &TypeName::dtype)->name; }

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t begin, end;  // in the bytes after the header
};

// What is wrong with the header of a file.
class Refusal {
 public:
  explicit Refusal(const Path& path) : path_(path) {}
  [[noreturn]] void operator()(const auto&... what) const {
    fail<FileError>(path_.string(), ": bad safetensors header: ", what...);
  }

 private:
  const Path& path_;
};

// In which no key is given twice, and nothing lies deeper than the lists of an entry: that is refused before
// it takes memory.
Json parse(std::string_view text, const Refusal& refuse) {
  constexpr int kDepth = 3;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  try {
    return Json::parse(text, [&](int depth, Json::parse_event_t event, const Json& key) {
      using Event = Json::parse_event_t;
      if ((event == Event::object_start || event == Event::array_start) && depth >= kDepth)
        refuse("it is nested deeper than ", kDepth, " levels");
      if (event == Event::object_start) keys.emplace_back();
      if (event == Event::object_end) keys.pop_back();
      if (event == Event::key && !keys.back().insert(key.get<std::string>()).second)
        refuse("the key '", key.get<std::string>(), "' is given twice");
      return true;
    });
  } catch (const Json::parse_error& error) {
    refuse("it is not JSON from byte ", error.byte, " on");
  } catch (const Json::exception& error) { refuse(error.what()); }
}

const std::string& string_of(const Json& value, std::string_view name, const Refusal& refuse) {
  if (!value.is_string()) refuse("'", name, "' must be a string");
  return value.get_ref<const std::string&>();
}

std::vector<uint64_t> integers_of(const Json& value, std::string_view name, const Refusal& refuse) {
  const auto is_integer = [](const Json& item) { return item.is_number_unsigned(); };
  if (!value.is_array() || !std::ranges::all_of(value, is_integer))
    refuse("'", name, "' must be a list of integers from 0 to 2^64 - 1");
  return value.get<std::vector<uint64_t>>();
}

DType dtype_of_name(const std::string& name, const Refusal& refuse) {
  for (const TypeName& row : kTypeNames) {
    if (name == row.name) return row.dtype;
  }
  refuse("dtype '", name, "' is not supported");
}

Entry read_entry(const std::string& name, const Json& fields, const Refusal& refuse) {
  if (!fields.is_object()) refuse("tensor '", name, "' must be an object");
  for (const auto& [key, value] : fields.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") refuse("unknown key '", key, "'");
  }
  if (fields.size() != 3) refuse("tensor '", name, "' needs dtype, shape and data_offsets");
  Entry entry{name, dtype_of_name(string_of(fields["dtype"], "dtype", refuse), refuse), {}, 0, 0};
  const auto shape = integers_of(fields["shape"], "shape", refuse),
             offsets = integers_of(fields["data_offsets"], "data_offsets", refuse);
  if (offsets.size() != 2 || offsets[0] > offsets[1]) refuse("tensor '", name, "' has bad data_offsets");
  if (shape.size() > kMaxRank) refuse("tensor '", name, "' has more than ", kMaxRank, " dimensions");
  uint64_t bytes = size_of(entry.dtype);
  for (const uint64_t extent : shape) {
    if (extent > INT64_MAX || __builtin_mul_overflow(bytes, extent, &bytes))
      refuse("the size of tensor '", name, "' overflows");
    entry.shape.push_back(static_cast<int64_t>(extent));
  }
  if (bytes != offsets[1] - offsets[0]) {
    refuse("tensor '", name, "' of ", entry.dtype, entry.shape, " needs ", bytes,
           " bytes, but its data_offsets span ", offsets[1] - offsets[0]);
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

struct Header {
  std::vector<Entry> entries;  // by position in the file
  Metadata metadata;
};

Header read_header(const Path& path, std::string_view text, size_t data_bytes) {
  const Refusal refuse(path);
  if (!text.starts_with('{')) refuse("'{' expected");
  const Json json = parse(text, refuse);
  Header header;
  for (const auto& [name, fields] : json.items()) {
    if (name != kMetadataName) {
      header.entries.push_back(read_entry(name, fields, refuse));
      continue;
    }
    if (!fields.is_object()) refuse(kMetadataName, " must be an object");
    for (const auto& [key, value] : fields.items()) header.metadata[key] = string_of(value, key, refuse);
  }
  std::ranges::sort(header.entries, [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const Entry& entry : header.entries) {
    if (entry.begin != position) {
      refuse("the bytes of tensor '", entry.name, "' begin at ", entry.begin, ", not at ", position,
             entry.begin < position ? ": tensors overlap" : ": the file has a hole");
    }
    position = entry.end;
  }
  if (position != data_bytes)
    refuse("the tensors take ", position, " bytes, but the file holds ", data_bytes);
  return header;
}

std::string text_of(const OrderedJson& header) {
  try {
    return header.dump();
  } catch (const Json::exception&) { fail<ValueError>("[save] names and metadata must be UTF-8"); }
}

}  // namespace

void save(const Path& path, const NamedTensors& tensors, const Metadata& metadata) {
  std::vector<std::pair<std::string, Tensor>> ordered;  // wide types first, so that all are aligned
  for (const auto& [name, tensor] : tensors) {
    if (name == kMetadataName) fail<ValueError>("[save] a tensor cannot have the name ", kMetadataName);
    if (!tensor.defined()) fail<ValueError>("[save] '", name, "' is an undefined tensor");
    check_escape(tensor, "save", Differentiated::leaf);
    ordered.emplace_back(name, contiguous(to(stop_gradient(tensor), Device{})));
  }
  std::ranges::stable_sort(ordered, std::ranges::greater(),
                           [](const auto& entry) { return size_of(entry.second.dtype()); });

  OrderedJson json = OrderedJson::object();
  auto& members =
      json.get_ref<OrderedJson::object_t&>();  // which are looked up one by one, but appended at once
  if (!metadata.empty()) members.emplace_back(kMetadataName, metadata);
  std::vector<std::string_view> parts(2);
  uint64_t position = 0;
  for (const auto& [name, tensor] : ordered) {
    members.emplace_back(
        name, OrderedJson{{"dtype", type_name(tensor.dtype())},
                          {"shape", std::vector<int64_t>(tensor.shape().begin(), tensor.shape().end())},
                          {"data_offsets", {position, position + tensor.nbytes()}}});
    position += tensor.nbytes();
    if (tensor.nbytes()) parts.emplace_back(static_cast<const char*>(tensor.raw_data()), tensor.nbytes());
  }
  std::string header = text_of(json);
  header.resize((header.size() + 7) / 8 * 8, ' ');
  if (header.size() > kMaxHeaderBytes)
    fail<ValueError>("[save] the names and metadata take ", header.size(), " bytes, more than ",
                     kMaxHeaderBytes);
  const uint64_t length = header.size();
  parts[0] = {reinterpret_cast<const char*>(&length), kLengthBytes};
  parts[1] = header;
  write_file(path, parts);
}

Saved load(const Path& path, Device device) {
  const std::string bytes = read_file(path);
  const auto refuse = [&](const auto&... what) {
    fail<FileError>(path.string(), ": not a safetensors file: ", what...);
  };
  if (bytes.size() < kLengthBytes) refuse("it has only ", bytes.size(), " bytes");
  uint64_t length;
  std::copy_n(bytes.data(), kLengthBytes, reinterpret_cast<char*>(&length));
  if (length > kMaxHeaderBytes || length > bytes.size() - kLengthBytes)
    refuse("its header would have ", length, " bytes of ", bytes.size());
  const std::string_view data = std::string_view(bytes).substr(kLengthBytes + length);
  const Header header = read_header(path, std::string_view(bytes).substr(kLengthBytes, length), data.size());

  Saved saved{{}, header.metadata};
  for (const Entry& entry : header.entries) {
    const std::string_view part = data.substr(entry.begin, entry.end - entry.begin);
    if (entry.dtype == DType::bool_ && part.find_first_not_of(std::string_view("\0\1", 2)) != part.npos)
      fail<FileError>(path.string(), ": tensor '", entry.name,
                      "' of bool holds a byte that is neither 0 nor 1");
    saved.tensors[entry.name] = copy_from_host(part.data(), entry.shape, entry.dtype, device);
  }
  return saved;
}

}  // namespace tidu::io
