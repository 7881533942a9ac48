// What the model problems share: options, tables, checks that end the program, and pictures.
#pragma once

#include <tidu/tidu.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>

namespace example {

using namespace tidu;
namespace fs = std::filesystem;
using Numbers = std::vector<double>;

struct Options {
  Device device;
  fs::path out = "out";  // of the pictures
  bool quick = false;    // less data and coarser pictures, as for an emulated device
};

// Runs a program with its options; an error ends it with exit status 1.
inline int main(int argc, char** argv, const char* description,
                const std::function<void(const Options&)>& program) {
  try {
    Options options;
    for (int i = 1; i < argc; ++i) {
      const std::string name = argv[i];
      const auto value = [&] {
        if (++i == argc) fail<ValueError>(name, " needs a value");
        return argv[i];
      };
      if (name == "--help") {
        std::cout << description << "\n\n  --device NAME  where to compute (cpu)\n"
                  << "  --out FOLDER   of the pictures (out)\n"
                  << "  --quick        less data and coarser pictures\n";
        return 0;
      } else if (name == "--device") {
        options.device = device_from_name(value());
      } else if (name == "--out") {
        options.out = value();
      } else if (name == "--quick") {
        options.quick = true;
      } else {
        fail<ValueError>("unknown option ", name, " (--help lists the options)");
      }
    }
    fs::create_directories(options.out);
    program(options);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << argv[0] << ": " << error.what() << "\n";
    return 1;
  }
}

inline Numbers numbers(const Tensor& x) { return to_vector<double>(stop_gradient(x)); }
inline Tensor vector(const Numbers& values, Device device) {
  return tensor(std::span(values), {std::ssize(values)}, device);
}
inline Tensor column(const Tensor& matrix, int64_t i) { return select(matrix, 1, i); }

// A table of examples/data in float64, without its header.
inline Tensor table(const std::string& name, Device device) {
  return to(data::read_csv(fs::path(TIDU_EXAMPLES_DATA) / (name + ".csv"), {.dtype = DType::float64}).values,
            device);
}

// The first `count` images of each class of Fashion-MNIST, (n, 28, 28) in [0, 1] in float64, and the position
// of each one's class among `classes`. Sorted by class.
struct Images {
  Tensor pixels, labels;
};
inline Images fashion(const std::vector<int64_t>& classes, int64_t count, Device device) {
  const auto [images, labels] = data::fashion_mnist(true);
  const auto all = to_vector<int64_t>(labels);
  std::vector<int64_t> rows, positions;
  for (size_t c = 0; c < classes.size(); ++c) {
    for (int64_t i = 0, found = 0; found < count; ++i) {
      if (all.at(static_cast<size_t>(i)) != classes[c]) continue;
      rows.push_back(i);
      positions.push_back(static_cast<int64_t>(c));
      ++found;
    }
  }
  const Tensor chosen = take(images, tensor(std::span<const int64_t>(rows), {std::ssize(rows)}), 0);
  return {to(astype(chosen, DType::float64) / 255, device),
          tensor(std::span<const int64_t>(positions), {std::ssize(positions)}, device)};
}

// Ends the program where an element of `found` is further from `expected` than the tolerance.
inline void check(const std::string& what, const Numbers& found, const Numbers& expected, double tolerance) {
  if (found.size() != expected.size()) fail<ValueError>(what, " has ", found.size(), " elements");
  double error = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    const double here = std::abs(found[i] - expected[i]);
    if (!(here <= error)) error = here;
  }
  std::cout << what << ": off by " << error << ", at most " << tolerance << " allowed" << std::endl;
  if (!(error <= tolerance)) fail<ValueError>(what, " is wrong");
}
inline void check(const std::string& what, const Tensor& found, const Tensor& expected, double tolerance) {
  check(what, numbers(found), numbers(broadcast_to(expected, found.shape())), tolerance);
}
inline void check(const std::string& what, double found, double expected, double tolerance) {
  check(what, Numbers{found}, Numbers{expected}, tolerance);
}

// A picture as SVG: cells below, lines and points above, axes around.
class Picture {
 public:
  Picture(std::string title, std::string xlabel, std::string ylabel)
      : title_(std::move(title)), xlabel_(std::move(xlabel)), ylabel_(std::move(ylabel)) {}

  Picture& points(const Numbers& x, const Numbers& y, const char* colour) {
    return add({x, y, colour, false});
  }
  Picture& line(const Numbers& x, const Numbers& y, const char* colour) { return add({x, y, colour, true}); }
  // A function of two numbers on a grid, dark where it is small.
  Picture& cells(double x0, double x1, double y0, double y1, int count,
                 const std::function<double(double, double)>& f) {
    const double dx = (x1 - x0) / count, dy = (y1 - y0) / count;
    for (int i = 0; i < count; ++i) {
      for (int k = 0; k < count; ++k) {
        const double x = x0 + i * dx, y = y0 + k * dy;
        cells_.push_back({x, y, dx, dy, f(x + dx / 2, y + dy / 2)});
      }
    }
    include({x0, x1}, {y0, y1});
    return *this;
  }

  void save(const Options& options, const std::string& name) const {
    std::ostringstream svg;
    svg.precision(4);
    svg << "<svg xmlns='http://www.w3.org/2000/svg' width='640' height='480' font-family='sans-serif' "
        << "font-size='12'>\n<rect width='640' height='480' fill='white'/>\n<text x='70' y='24' "
        << "font-weight='bold'>" << title_ << "</text>\n<text x='330' y='470'>" << xlabel_
        << "</text>\n<text transform='translate(16 260) rotate(-90)'>" << ylabel_ << "</text>\n";
    double low = INFINITY, high = -INFINITY;
    for (const Cell& cell : cells_) low = std::min(low, cell.value), high = std::max(high, cell.value);
    for (const Cell& cell : cells_) {
      const double share = high > low ? (cell.value - low) / (high - low) : 0;
      const auto level = [&](double dark, double light) {
        return std::lround(dark + share * (light - dark));
      };
      svg << "<rect x='" << at_x(cell.x) << "' y='" << at_y(cell.y + cell.dy) << "' width='"
          << at_x(cell.x + cell.dx) - at_x(cell.x) + 0.5 << "' height='"
          << at_y(cell.y) - at_y(cell.y + cell.dy) + 0.5 << "' fill='rgb(" << level(35, 245) << ","
          << level(55, 247) << "," << level(95, 250) << ")'/>\n";
    }
    for (const Curve& curve : curves_) {
      if (curve.joined) svg << "<polyline fill='none' stroke='" << curve.colour << "' points='";
      for (size_t i = 0; i < curve.x.size(); ++i) {
        const double x = at_x(curve.x[i]), y = at_y(curve.y[i]);
        if (curve.joined) {
          svg << x << "," << y << " ";
        } else {
          svg << "<circle cx='" << x << "' cy='" << y << "' r='3' fill='" << curve.colour << "'/>\n";
        }
      }
      if (curve.joined) svg << "'/>\n";
    }
    for (int i = 0; i <= 4; ++i) {
      const double x = x0_ + (x1_ - x0_) * i / 4, y = y0_ + (y1_ - y0_) * i / 4;
      svg << "<text x='" << at_x(x) << "' y='448' text-anchor='middle'>" << x << "</text>\n"
          << "<text x='64' y='" << at_y(y) + 4 << "' text-anchor='end'>" << y << "</text>\n";
    }
    svg << "<rect x='70' y='36' width='550' height='394' fill='none' stroke='#888'/>\n</svg>\n";
    io::write_file(options.out / (name + ".svg"), svg.str());
    std::cout << "picture: " << (options.out / (name + ".svg")).string() << std::endl;
  }

 private:
  struct Curve {
    Numbers x, y;
    const char* colour;
    bool joined;
  };
  struct Cell {
    double x, y, dx, dy, value;
  };

  Picture& add(Curve curve) {
    include(curve.x, curve.y);
    curves_.push_back(std::move(curve));
    return *this;
  }
  void include(const Numbers& xs, const Numbers& ys) {
    for (double x : xs) x0_ = std::min(x0_, x), x1_ = std::max(x1_, x);
    for (double y : ys) y0_ = std::min(y0_, y), y1_ = std::max(y1_, y);
  }
  double at_x(double x) const { return 70 + 550 * (x1_ > x0_ ? (x - x0_) / (x1_ - x0_) : 0.5); }
  double at_y(double y) const { return 430 - 394 * (y1_ > y0_ ? (y - y0_) / (y1_ - y0_) : 0.5); }

  std::string title_, xlabel_, ylabel_;
  std::vector<Curve> curves_;
  std::vector<Cell> cells_;
  double x0_ = INFINITY, x1_ = -INFINITY, y0_ = INFINITY, y1_ = -INFINITY;
};

}  // namespace example
