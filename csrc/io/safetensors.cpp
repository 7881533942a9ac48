// The safetensors format.
#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <set>

#include "core/escape.h"
#include "io/json.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/shape.h"

namespace tidu::io {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;  // as in the reference implementation
constexpr const char* kMetadataName = "__metadata__";

struct TypeName {
  const char* name;
  DType dtype;
};
constexpr TypeName kTypeNames[] = {
    {"BOOL", DType::bool_},  {"I8", DType::int8},       {"I16", DType::int16},     {"I32", DType::int32},
    {"I64", DType::int64},   {"U8", DType::uint8},      {"U16", DType::uint16},    {"U32", DType::uint32},
    {"U64", DType::uint64},  {"F16", DType::float16},   {"BF16", DType::bfloat16}, {"F32", DType::float32},
    {"F64", DType::float64}, {"C64", DType::complex64},
};

const char* type_name(DType dtype) {
  const auto row = std::ranges::find(kTypeNames, dtype, &TypeName::dtype);
  if (row == std::end(kTypeNames))
    fail<DTypeError>("[save] the format has no ", dtype, " (save view_as_real, or complex64)");
  return row->name;
}

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  uint64_t begin, end;  // in the bytes after the header
};

DType read_dtype(JsonReader& json) {
  const std::string name = json.read_string();
  for (const TypeName& row : kTypeNames) {
    if (name == row.name) return row.dtype;
  }
  json.refuse(str("dtype '", name, "' is not supported"));
}

Entry read_entry(JsonReader& json, std::string name) {
  Entry entry{std::move(name), {}, {}, 0, 0};
  std::vector<uint64_t> shape, offsets;
  std::set<std::string> seen;
  json.read_object([&](const std::string& key) {
    seen.insert(key);
    if (key == "dtype") {
      entry.dtype = read_dtype(json);
    } else if (key == "shape") {
      shape = json.read_integers();
    } else if (key == "data_offsets") {
      offsets = json.read_integers();
    } else {
      json.refuse(str("unknown key '", key, "'"));
    }
  });
  if (seen.size() != 3) json.refuse(str("tensor '", entry.name, "' needs dtype, shape and data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    json.refuse(str("tensor '", entry.name, "' has bad data_offsets"));
  if (shape.size() > kMaxRank)
    json.refuse(str("tensor '", entry.name, "' has more than ", kMaxRank, " dimensions"));
  uint64_t bytes = size_of(entry.dtype);
  for (const uint64_t extent : shape) {
    if (extent > INT64_MAX || __builtin_mul_overflow(bytes, extent, &bytes))
      json.refuse(str("the size of tensor '", entry.name, "' overflows"));
    entry.shape.push_back(static_cast<int64_t>(extent));
  }
  if (bytes != offsets[1] - offsets[0]) {
    json.refuse(str("tensor '", entry.name, "' of ", entry.dtype, entry.shape, " needs ", bytes,
                    " bytes, but its data_offsets span ", offsets[1] - offsets[0]));
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
  JsonReader json(text, str(path.string(), ": bad safetensors header"));
  if (!text.starts_with('{')) json.refuse("'{' expected");
  Header header;
  json.read_object([&](const std::string& name) {
    if (name != kMetadataName) {
      header.entries.push_back(read_entry(json, name));
      return;
    }
    json.read_object([&](const std::string& key) { header.metadata[key] = json.read_string(); });
  });
  json.expect_end();
  std::ranges::sort(header.entries, [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t position = 0;
  for (const Entry& entry : header.entries) {
    if (entry.begin != position) {
      json.refuse(str("the bytes of tensor '", entry.name, "' begin at ", entry.begin, ", not at ", position,
                      entry.begin < position ? ": tensors overlap" : ": the file has a hole"));
    }
    position = entry.end;
  }
  if (position != data_bytes)
    json.refuse(str("the tensors take ", position, " bytes, but the file holds ", data_bytes));
  return header;
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

  JsonWriter json;
  json.begin_object();
  if (!metadata.empty()) {
    json.key(kMetadataName).begin_object();
    for (const auto& [key, value] : metadata) json.key(key).string(value);
    json.end_object();
  }
  std::vector<std::string_view> parts(2);
  uint64_t position = 0;
  for (const auto& [name, tensor] : ordered) {
    json.key(name).begin_object();
    json.key("dtype").string(type_name(tensor.dtype()));
    json.key("shape").integers(tensor.shape());
    json.key("data_offsets")
        .integers({{static_cast<int64_t>(position), static_cast<int64_t>(position + tensor.nbytes())}});
    json.end_object();
    position += tensor.nbytes();
    if (tensor.nbytes()) parts.emplace_back(static_cast<const char*>(tensor.raw_data()), tensor.nbytes());
  }
  json.end_object();
  std::string header = json.text();
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
