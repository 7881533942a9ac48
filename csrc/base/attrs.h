// The static arguments of a call: one plain struct a primitive, behind a type-erased handle.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <variant>
#include <vector>

#include "base/device.h"
#include "base/dtype.h"
#include "base/ref.h"
#include "base/shape.h"

namespace tidu {

// What a field says, as a type, so that a transform which adds an axis to the inputs knows what to change.
namespace attr {

struct Axis {  // one axis of the inputs
  int value;
  operator int() const { return value; }
  friend uint64_t hash_value(Axis axis) { return axis.value; }
};
struct InputExtent {  // the extent of that axis, or of the axes together
  int64_t value;
  operator int64_t() const { return value; }
  friend uint64_t hash_value(InputExtent extent) { return extent.value; }
};
template <class Meaning> struct DimsOf : Dims {
  using Dims::Dims;
  DimsOf() {}  // as that of Dims
  DimsOf(const Dims& dims) : Dims(dims) {}
};
using Axes = DimsOf<struct AxesMeaning>;                // axes of the first input
using Places = DimsOf<struct PlacesMeaning>;            // axes of the output
using Permutation = DimsOf<struct PermutationMeaning>;  // axis i of the output is axis [i] of the input
using Extents = DimsOf<struct ExtentsMeaning>;          // the output's shape
using Starts = DimsOf<struct StartsMeaning>;            // where a slice begins, on each axis
using Sizes = DimsOf<struct SizesMeaning>;              // how many elements it has there
using Steps = DimsOf<struct StepsMeaning>;              // and how far they lie apart
using SharedAxes = DimsOf<struct SharedAxesMeaning>;  // axes of the first input that the others have as well

// What a field says of inputs that have one axis more, of this extent, in front.
template <class T> void add_axis(T&, int64_t) {}
inline void add_axis(Axis& axis, int64_t) { ++axis.value; }
template <class Meaning> void add_axis(DimsOf<Meaning>& dims, int64_t extent) {
  constexpr auto is = []<class... T>(const T*...) { return (std::is_same_v<DimsOf<Meaning>, T> || ...); };
  if constexpr (is((Axes*)nullptr, (Places*)nullptr, (Permutation*)nullptr, (SharedAxes*)nullptr)) {
    for (int64_t& axis : dims) ++axis;
  }
  if constexpr (is((Extents*)nullptr, (Sizes*)nullptr)) dims.insert(0, extent);
  if constexpr (is((Permutation*)nullptr, (SharedAxes*)nullptr, (Starts*)nullptr)) dims.insert(0, 0);
  if constexpr (is((Steps*)nullptr)) dims.insert(0, 1);
}

// Whether a field holds calls that do something besides giving values.
template <class T> bool has_effect(const T&) { return false; }

// Whether what a field says can be so of a first input of this shape.
template <class T> bool fits(const T&, const Shape&) { return true; }
inline bool fits(Axis axis, const Shape& first) { return axis >= 0 && axis < first.size(); }
bool are_axes(const Dims& axes, int rank);  // distinct ones
bool are_extents(const Dims& extents);      // none negative, and together a number of elements
template <class Meaning> bool fits(const DimsOf<Meaning>& dims, const Shape& first) {
  constexpr auto is = []<class... T>(const T*...) { return (std::is_same_v<DimsOf<Meaning>, T> || ...); };
  if constexpr (is((Axes*)nullptr, (SharedAxes*)nullptr)) return are_axes(dims, first.size());
  if constexpr (is((Places*)nullptr)) return are_axes(dims, kMaxRank);
  if constexpr (is((Permutation*)nullptr)) return dims.size() == first.size() && are_axes(dims, first.size());
  if constexpr (is((Extents*)nullptr)) return are_extents(dims);
  if constexpr (is((Sizes*)nullptr)) return dims.size() == first.size() && are_extents(dims);
  if constexpr (is((Starts*)nullptr, (Steps*)nullptr)) return dims.size() == first.size();
  return true;
}

}  // namespace attr

struct Program;

// A field as data, of which files are made. Nothing (monostate) where it has none, as a function of the host.
using AttrValue = std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<int64_t>,
                               std::shared_ptr<const Program>>;

// Types of their own have functions of these names in their namespace.
template <class T> AttrValue to_value(const T& field) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double>) {
    return field;
  } else if constexpr (std::is_base_of_v<Dims, T>) {
    return std::vector<int64_t>(field.begin(), field.end());
  } else if constexpr (std::is_convertible_v<T, int64_t>) {
    return static_cast<int64_t>(field);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return field;
  } else if constexpr (std::is_same_v<T, DType>) {
    return std::string(name_of(field));
  } else if constexpr (std::is_same_v<T, Device>) {
    return str(field);
  } else {
    return std::monostate();
  }
}
// The field of which to_value made a value of this kind; a ValueError where it can be no such field.
template <class T> void from_value(T& field, const AttrValue& value) {
  if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, double> || std::is_same_v<T, std::string>) {
    field = std::get<T>(value);
  } else if constexpr (std::is_base_of_v<Dims, T>) {
    field = T(Dims(std::span<const int64_t>(std::get<std::vector<int64_t>>(value))));
  } else if constexpr (std::is_convertible_v<T, int64_t>) {
    const int64_t number = std::get<int64_t>(value);
    if constexpr (std::is_same_v<T, int> || std::is_same_v<T, attr::Axis>) {
      if (!std::in_range<int>(number)) fail<ValueError>(number, " does not fit 32 bits");
      field = T{static_cast<int>(number)};
    } else {
      field = T{number};
    }
  } else if constexpr (std::is_same_v<T, DType>) {
    field = dtype_from_name(std::get<std::string>(value));
  } else if constexpr (std::is_same_v<T, Device>) {
    field = device_from_name(std::get<std::string>(value));
  } else {
    fail<std::logic_error>("a field that is no data is read");
  }
}
// For readers: "(2, 3)", "true", "float32", "1e-05".
std::string text_of(const AttrValue& value);

// An attribute struct lists its members once:
//
//   struct ReduceAttrs {
//     attr::Axes axes;
//     void fields(auto&& field) const { field("axes", axes); }
//   };
//
// Equality, hash, printing and files follow from that list. Numbers are compared as bytes, so that 0.0 and
// -0.0 are two values and NaN is one; other types by ==, with hash_value found by their namespace.
class Attrs {
 public:
  template <class T> class OnStack;

  Attrs() = default;
  template <class T>
  requires(!std::is_same_v<T, Attrs>) Attrs(T value) : box_(new Owner<T>(std::move(value))) {}
  // Copies may outlive the call that the original is an argument of.
  Attrs(const Attrs& other) : box_(other.box_ && other.box_->on_stack ? other.box_->clone() : other.box_) {}
  Attrs& operator=(Attrs other) noexcept {
    std::swap(box_, other.box_);
    return *this;
  }

  template <class T> const T& as() const {
    if (!box_ || box_->type != typeid(T)) [[unlikely]]
      fail<std::logic_error>("attributes of type ", box_ ? box_->type.name() : "none", " read as ",
                             typeid(T).name());
    return *static_cast<const T*>(box_->value);
  }
  bool empty() const { return !box_; }

  bool operator==(const Attrs& other) const {
    return box_ == other.box_ ||
           (box_ && other.box_ && box_->type == other.box_->type && box_->equals(*other.box_));
  }
  size_t hash() const { return box_ ? box_->hash() : 0; }
  // The attributes of the same call of inputs that have one axis more in front, of this extent.
  Attrs with_axis(int64_t extent) const { return box_ ? Attrs(Given{}, box_->with_axis(extent)) : Attrs(); }
  // Whether programs among them do something besides giving values.
  bool has_effect() const { return box_ && box_->has_effect(); }
  using Field = std::pair<const char*, AttrValue>;
  std::vector<Field> fields() const { return box_ ? box_->list() : std::vector<Field>(); }
  // The same struct with another value of the same kind for each field.
  Attrs with_values(const std::vector<AttrValue>& values) const {
    return box_ ? Attrs(Given{}, box_->with_values(values)) : Attrs();
  }
  bool is_like(const Attrs& other) const {
    return box_ && other.box_ ? box_->type == other.box_->type : !box_ && !other.box_;
  }
  // The first field that says what cannot be of a first input of this shape, or null.
  const char* misfit(const Shape& first) const { return box_ ? box_->misfit(first) : nullptr; }
  // Writes "axes=(0,), keepdims=true"; what a program holds is not shown.
  std::string to_string() const;

 private:
  struct BoxBase : RefCounted {
    BoxBase(const std::type_info& type, const void* value, bool on_stack)
        : type(type), value(value), on_stack(on_stack) {}
    virtual BoxBase* clone() const = 0;
    virtual BoxBase* with_axis(int64_t extent) const = 0;
    virtual bool equals(const BoxBase& other) const = 0;
    virtual size_t hash() const = 0;
    virtual bool has_effect() const = 0;
    virtual std::vector<Field> list() const = 0;
    virtual BoxBase* with_values(const std::vector<AttrValue>& values) const = 0;
    virtual const char* misfit(const Shape& first) const = 0;
    // What lies on the stack goes with its scope.
    void destroy() noexcept override {
      if (!on_stack) delete this;
    }

    const std::type_info& type;
    const void* const value;
    const bool on_stack;
  };

  // Of a value that lies elsewhere.
  template <class T> struct Box : BoxBase {
    Box(const T& value, bool on_stack) : BoxBase(typeid(T), &value, on_stack) {}
    const T& get() const { return *static_cast<const T*>(value); }
    BoxBase* clone() const override { return new Owner<T>(get()); }
    BoxBase* with_axis(int64_t extent) const override {
      auto* const box = new Owner<T>(get());
      box->owned.fields([&]<class F>(const char*, const F& field) {
        attr::add_axis(const_cast<F&>(field), extent);  // `owned` is no constant
      });
      return box;
    }
    bool equals(const BoxBase& other) const override {
      bool equal = true;
      int i = 0;
      get().fields([&](const char*, const auto& mine) {
        int k = 0;
        static_cast<const Box&>(other).get().fields([&](const char*, const auto& theirs) {
          if constexpr (std::is_same_v<decltype(mine), decltype(theirs)>) {
            if (k++ == i) equal &= same(mine, theirs);
          } else {
            ++k;
          }
        });
        ++i;
      });
      return equal;
    }
    size_t hash() const override {
      size_t result = type.hash_code();
      get().fields([&](const char*, const auto& field) { mix(result, field); });
      return result;
    }
    bool has_effect() const override {
      bool result = false;
      get().fields([&](const char*, const auto& field) {
        using attr::has_effect;
        result |= has_effect(field);
      });
      return result;
    }
    std::vector<Field> list() const override {
      std::vector<Field> result;
      get().fields([&](const char* name, const auto& field) { result.emplace_back(name, to_value(field)); });
      return result;
    }
    BoxBase* with_values(const std::vector<AttrValue>& values) const override {
      auto box = std::make_unique<Owner<T>>(get());
      size_t i = 0;
      box->owned.fields([&]<class F>(const char* name, const F& field) {
        try {
          from_value(const_cast<F&>(field), values.at(i++));
        } catch (const std::invalid_argument& error) { fail<ValueError>("'", name, "': ", error.what()); }
      });
      return box.release();
    }
    const char* misfit(const Shape& first) const override {
      const char* result = nullptr;
      get().fields([&](const char* name, const auto& field) {
        using attr::fits;
        if (!result && !fits(field, first)) result = name;
      });
      return result;
    }
  };

  template <class T> struct Owner final : Box<T> {
    explicit Owner(T value) : Box<T>(owned, false), owned(std::move(value)) {}
    T owned;
  };

  template <class V> static constexpr bool kPlain = std::is_arithmetic_v<V> || std::is_enum_v<V>;

  template <class V> static bool same(const V& a, const V& b) {
    if constexpr (kPlain<V>) {
      return std::memcmp(&a, &b, sizeof a) == 0;
    } else {
      return a == b;
    }
  }
  template <class V> static void mix(size_t& hash, const V& value) {
    if constexpr (std::is_base_of_v<Dims, V>) {
      for (int64_t extent : value) mix(hash, extent);
    } else if constexpr (kPlain<V>) {
      uint64_t bits = 0;
      std::memcpy(&bits, &value, sizeof value);
      hash = (hash ^ bits) * 0x9e3779b97f4a7c15u;
      hash ^= hash >> 32;
    } else {
      mix(hash, hash_value(value));
    }
  }

  struct Borrow {};
  Attrs(Borrow, BoxBase& box) : box_(&box, Ref<BoxBase>::Counted{}) {}
  struct Given {};
  Attrs(Given, BoxBase* box) : box_(box) {}

  Ref<BoxBase> box_;
};

inline uint64_t hash_value(const std::string& text) { return std::hash<std::string>()(text); }
inline uint64_t hash_value(Device device) { return static_cast<uint64_t>(device.type) << 8 | device.index; }

// The attributes of one call, which stay where they are unless somebody keeps a copy. The one reference to
// them is for ever the last: counting it would take longer than a call that makes a view.
template <class T> class Attrs::OnStack {
 public:
  explicit OnStack(const T& value) : box_(value, true) { box_.retain_first(); }
  explicit OnStack(const T&&) = delete;
  OnStack(const OnStack&) = delete;
  Attrs attrs() { return Attrs(Borrow{}, box_); }

 private:
  Box<T> box_;
};

}  // namespace tidu
