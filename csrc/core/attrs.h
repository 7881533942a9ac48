// The static arguments of a call: one plain struct a primitive, behind a type-erased handle.
#pragma once

#include <cstring>
#include <functional>
#include <string>

#include "base/device.h"
#include "base/dtype.h"
#include "base/ref.h"
#include "base/shape.h"

namespace tidu {

// An attribute struct lists its members once:
//
//   struct ReduceAttrs {
//     Axes axes;
//     void fields(auto&& field) const { field("axes", axes); }
//   };
//
// Equality, hash and printing follow from that list.
class Attrs {
 public:
  Attrs() = default;
  template <class T>
  requires(!std::is_same_v<T, Attrs>) Attrs(T value) : box_(new Box<T>(std::move(value))) {}

  template <class T> const T& as() const { return static_cast<const Box<T>&>(*box_).value; }
  bool empty() const { return !box_; }

  bool operator==(const Attrs& other) const { return key() == other.key(); }
  size_t hash() const { return std::hash<std::string>()(key()); }
  // Writes "axes=(0,), keepdims=1".
  std::string to_string() const { return box_ ? box_->to_string() : ""; }

 private:
  struct BoxBase : RefCounted {
    virtual std::string key() const = 0;
    virtual std::string to_string() const = 0;
  };

  // Values are compared as bytes, so that 0.0 and -0.0 are two values and NaN is one.
  template <class T> struct Box final : BoxBase {
    explicit Box(T v) : value(std::move(v)) {}
    std::string key() const override {
      std::string bytes;
      value.fields([&](const char*, const auto& field) { append(bytes, field); });
      return bytes;
    }
    std::string to_string() const override {
      std::ostringstream out;
      value.fields([&](const char* name, const auto& field) {
        out << (out.tellp() > 0 ? ", " : "") << name << '=' << field;
      });
      return out.str();
    }
    T value;
  };

  template <class V> static void append(std::string& bytes, const V& value) {
    static_assert(std::is_arithmetic_v<V> || std::is_enum_v<V>);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void append(std::string& bytes, const Device& device) {
    append(bytes, device.type);
    append(bytes, device.index);
  }
  static void append(std::string& bytes, const Dims& dims) {
    append(bytes, dims.size());
    for (int64_t value : dims) append(bytes, value);
  }

  std::string key() const { return box_ ? box_->key() : std::string(); }

  Ref<BoxBase> box_;
};

}  // namespace tidu
