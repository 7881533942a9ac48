// Greedy colourings.
#include "transforms/coloring.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <numeric>

namespace tidu {
namespace {

using Vertex = int64_t;
using Order = std::vector<Vertex>;
using Colors = std::vector<int64_t>;
constexpr int64_t kNone = -1;

// Colours, a bit each.
class ColorSet {
 public:
  void clear() { words_.clear(); }
  void add(int64_t color) {
    if (color == kNone) return;
    const auto word = static_cast<size_t>(color / 64);
    if (word >= words_.size()) words_.resize(word + 1);
    words_[word] |= uint64_t{1} << (color % 64);
  }
  void add(const ColorSet& others) {
    words_.resize(std::max(words_.size(), others.words_.size()));
    for (size_t i = 0; i < others.words_.size(); ++i) words_[i] |= others.words_[i];
  }
  int64_t smallest_absent() const {
    size_t i = 0;
    while (i < words_.size() && ~words_[i] == 0) ++i;
    return static_cast<int64_t>(i) * 64 + (i < words_.size() ? std::countr_one(words_[i]) : 0);
  }

 private:
  std::vector<uint64_t> words_;
};

int64_t count_of(const Colors& colors) { return colors.empty() ? 0 : *std::ranges::max_element(colors) + 1; }

int64_t longest_row(const Sparsity& pattern) {
  int64_t longest = 0;
  for (int64_t i = 0; i < pattern.num_rows; ++i) longest = std::max(longest, std::ssize(pattern.row(i)));
  return longest;
}

// Vertices by a number, the largest first, else as they are.
template <class Number> Order sorted_by(Order order, const Number& number) {
  std::ranges::stable_sort(order, std::greater<>(), number);
  return order;
}

// The colours of the best of some orders of the vertices. Those of one colour after another, the last colour
// first, take no more colours than before, and often fewer.
Colors best_of(const Order& natural, const Order& largest_first, int64_t fewest,
               const std::function<Colors(const Order&)>& color) {
  constexpr int kRounds = 8;
  Colors best;
  const auto is_better = [&](const Colors& colors) {
    return best.empty() || count_of(colors) < count_of(best);
  };
  for (const Order* order : {&natural, &largest_first}) {
    Colors colors = color(*order);
    for (int round = 0; round < kRounds && count_of(colors) > fewest; ++round) {
      if (is_better(colors)) best = colors;
      colors = color(sorted_by(*order, [&](Vertex v) { return colors[static_cast<size_t>(v)]; }));
    }
    if (is_better(colors)) best = colors;
    if (count_of(best) <= fewest) break;
  }
  return best;
}

Order all_with_elements(const Sparsity& pattern) {
  Order order;
  for (int64_t i = 0; i < pattern.num_rows; ++i) {
    if (!pattern.row(i).empty()) order.push_back(i);
  }
  return order;
}

// Colours of the rows of `pattern`, whose columns are the rows of `across`.
Colors color_apart(const Sparsity& pattern, const Sparsity& across) {
  const Order natural = all_with_elements(pattern);
  // How many a row shares a column with, counted as often as it does.
  std::vector<int64_t> met(static_cast<size_t>(pattern.num_rows));
  for (const Vertex i : natural) {
    for (const int64_t column : pattern.row(i)) met[static_cast<size_t>(i)] += std::ssize(across.row(column));
  }
  const auto color = [&](const Order& order) {
    Colors colors(static_cast<size_t>(pattern.num_rows), kNone);
    std::vector<ColorSet> used(static_cast<size_t>(across.num_rows));  // in each column
    ColorSet forbidden;
    for (const Vertex i : order) {
      forbidden.clear();
      for (const int64_t column : pattern.row(i)) forbidden.add(used[static_cast<size_t>(column)]);
      const int64_t color = colors[static_cast<size_t>(i)] = forbidden.smallest_absent();
      for (const int64_t column : pattern.row(i)) used[static_cast<size_t>(column)].add(color);
    }
    return colors;
  };
  return best_of(natural, sorted_by(natural, [&](Vertex i) { return met[static_cast<size_t>(i)]; }),
                 longest_row(across), color);
}

// A star colouring in the making. Adding a vertex keeps it one if, for every edge (u, w), not both u has two
// neighbours of the colour of w and w has two of the colour of u.
class StarColoring {
 public:
  explicit StarColoring(const Sparsity& graph)
      : graph_(graph),
        colors_(static_cast<size_t>(graph.num_rows), kNone),
        around_(static_cast<size_t>(graph.num_rows)) {}

  Colors operator()(const Order& order) {
    for (const Vertex v : order) add(v);
    return std::move(colors_);
  }

 private:
  // The neighbours of one colour that a vertex has.
  struct Near {
    int64_t count = 0;
    Vertex first = kNone;
  };
  struct Surroundings {
    std::vector<Near> by_color;
    ColorSet present;
    ColorSet closed;  // a neighbour of the colour has two of the vertex's: there must be no second one
    Near& near(int64_t color) {
      if (static_cast<size_t>(color) >= by_color.size()) by_color.resize(static_cast<size_t>(color) + 1);
      return by_color[static_cast<size_t>(color)];
    }
  };
  Surroundings& around(Vertex v) { return around_[static_cast<size_t>(v)]; }
  int64_t color_of(Vertex v) const { return colors_[static_cast<size_t>(v)]; }
  template <class Visit> void each_neighbour(Vertex v, const Visit& visit) const {
    for (const Vertex w : graph_.row(v)) {
      if (w != v) visit(w, color_of(w));
    }
  }

  void add(Vertex v) {
    forbidden_.clear();
    each_neighbour(v, [&](Vertex w, int64_t of_w) {
      forbidden_.add(of_w);
      const bool has_two = of_w != kNone && around(v).near(of_w).count > 1;
      forbidden_.add(has_two ? around(w).present : around(w).closed);
    });
    const int64_t color = colors_[static_cast<size_t>(v)] = forbidden_.smallest_absent();
    each_neighbour(v, [&](Vertex w, int64_t of_w) {
      Near& near = around(w).near(color);
      if (++near.count == 1) near.first = v;
      around(w).present.add(color);
      if (of_w == kNone) return;
      if (near.count > 1) {
        around(near.first).closed.add(of_w);
        around(v).closed.add(of_w);
      }
      if (around(v).near(of_w).count > 1) around(w).closed.add(color);
    });
  }

  const Sparsity& graph_;
  Colors colors_;
  std::vector<Surroundings> around_;
  ColorSet forbidden_;
};

// An acyclic colouring in the making: the edges between two colours, all that lead to a vertex together, are
// trees, of which a new vertex of one of the colours must not meet one twice.
class AcyclicColoring {
 public:
  explicit AcyclicColoring(const Sparsity& graph)
      : graph_(graph),
        colors_(static_cast<size_t>(graph.num_rows), kNone),
        stars_(static_cast<size_t>(graph.num_rows)) {}

  Colors operator()(const Order& order) {
    for (const Vertex v : order) add(v);
    return std::move(colors_);
  }

 private:
  using Tree = int64_t;
  // A vertex with its neighbours of one colour.
  struct Star {
    int64_t color;
    Tree tree;
  };

  int64_t color_of(Vertex v) const { return colors_[static_cast<size_t>(v)]; }
  template <class Visit> void each_colored(Vertex v, const Visit& visit) const {
    for (const Vertex w : graph_.row(v)) {
      if (w != v && color_of(w) != kNone) visit(w);
    }
  }

  Tree new_tree() {
    roots_.push_back(std::ssize(roots_));
    met_.push_back({});
    return roots_.back();
  }
  Tree root_of(Tree tree) {
    while (roots_[static_cast<size_t>(tree)] != tree) {
      Tree& up = roots_[static_cast<size_t>(tree)];
      tree = up = roots_[static_cast<size_t>(up)];
    }
    return tree;
  }
  // The tree of a vertex and its neighbours of a colour.
  Tree tree_of(Vertex v, int64_t color) {
    std::vector<Star>& stars = stars_[static_cast<size_t>(v)];
    const auto found = std::ranges::find(stars, color, &Star::color);
    if (found != stars.end()) return root_of(found->tree);
    stars.push_back({color, new_tree()});
    return stars.back().tree;
  }

  void add(Vertex v) {
    forbidden_.clear();
    each_colored(v, [&](Vertex w) { forbidden_.add(color_of(w)); });
    each_colored(v, [&](Vertex w) {
      for (const Star& star : stars_[static_cast<size_t>(w)]) {
        auto& [by, from] = met_[static_cast<size_t>(root_of(star.tree))];
        if (by == v && from != w) forbidden_.add(star.color);
        by = v, from = w;
      }
    });
    const int64_t color = colors_[static_cast<size_t>(v)] = forbidden_.smallest_absent();
    each_colored(v, [&](Vertex w) {
      const Tree mine = tree_of(v, color_of(w)), other = tree_of(w, color);
      roots_[static_cast<size_t>(other)] = mine;
    });
  }

  const Sparsity& graph_;
  Colors colors_;
  std::vector<std::vector<Star>> stars_;
  std::vector<Tree> roots_;
  struct Meeting {
    Vertex by = kNone, from = kNone;
  };
  std::vector<Meeting> met_;  // the vertex that was last to look at a tree, and over which neighbour
  ColorSet forbidden_;
};

// No star colouring of so many vertices and edges, and no acyclic one, has fewer colours: two classes of a
// and b vertices have at most a + b - 1 edges.
int64_t colors_at_least(int64_t vertices, int64_t edges) {
  int64_t count = vertices > 0 ? 1 : 0;
  while (count < vertices && (count - 1) * vertices - count * (count - 1) / 2 < edges) ++count;
  return count;
}

// Where an element stands among those of a pattern.
int64_t place_of(const Sparsity& pattern, int64_t row, int64_t column) {
  const auto in_row = pattern.row(row);
  return pattern.indptr[static_cast<size_t>(row)] +
         (std::ranges::lower_bound(in_row, column) - in_row.begin());
}

// The products lie one after the other, and have an element each for those of a row (or column).
Coloring by_columns(Sparsity pattern, Colors colors) {
  Coloring result{std::move(pattern), Coloring::Groups::columns, count_of(colors), std::move(colors), {}};
  for (int64_t i = 0; i < result.pattern.num_rows; ++i) {
    for (const int64_t column : result.pattern.row(i))
      result.places.push_back(result.colors[static_cast<size_t>(column)] * result.pattern.num_rows + i);
  }
  return result;
}

Coloring by_rows(Sparsity pattern, Colors colors) {
  Coloring result{std::move(pattern), Coloring::Groups::rows, count_of(colors), std::move(colors), {}};
  for (int64_t i = 0; i < result.pattern.num_rows; ++i) {
    for (const int64_t column : result.pattern.row(i))
      result.places.push_back(result.colors[static_cast<size_t>(i)] * result.pattern.num_columns + column);
  }
  return result;
}

}  // namespace

Coloring color_columns(Sparsity pattern) {
  Colors colors = color_apart(transposed(pattern), pattern);
  return by_columns(std::move(pattern), std::move(colors));
}

Coloring color_rows(Sparsity pattern) {
  Colors colors = color_apart(pattern, transposed(pattern));
  return by_rows(std::move(pattern), std::move(colors));
}

Coloring color_jacobian(Sparsity pattern) {
  // A row takes as many colours of columns as it has elements, so one side is often known not to be better.
  const Sparsity across = transposed(pattern);
  const int64_t columns_at_least = longest_row(pattern), rows_at_least = longest_row(across);
  Colors columns, rows;
  const auto color_the_columns = [&] { columns = color_apart(across, pattern); };
  const auto color_the_rows = [&] { rows = color_apart(pattern, across); };
  if (columns_at_least <= rows_at_least) {
    color_the_columns();
    if (rows_at_least >= count_of(columns)) return by_columns(std::move(pattern), std::move(columns));
    color_the_rows();
  } else {
    color_the_rows();
    if (columns_at_least > count_of(rows)) return by_rows(std::move(pattern), std::move(rows));
    color_the_columns();
  }
  return count_of(columns) <= count_of(rows) ? by_columns(std::move(pattern), std::move(columns))
                                             : by_rows(std::move(pattern), std::move(rows));
}

namespace {

// Each element read where it stands alone.
Coloring by_stars(Sparsity pattern, Colors colors) {
  const int64_t n = pattern.num_rows, count = count_of(colors);
  Coloring result{std::move(pattern), Coloring::Groups::symmetric, count, std::move(colors), {}};
  const auto color_of = [&](Vertex v) { return result.colors[static_cast<size_t>(v)]; };
  std::vector<int64_t> near(static_cast<size_t>(count));  // how many neighbours of each colour a row has
  std::vector<bool> alone;                                // in the product of their column
  for (Vertex i = 0; i < n; ++i) {
    const auto row = result.pattern.row(i);
    for (const Vertex j : row) ++near[static_cast<size_t>(color_of(j))];
    for (const Vertex j : row) alone.push_back(near[static_cast<size_t>(color_of(j))] == 1);
    for (const Vertex j : row) near[static_cast<size_t>(color_of(j))] = 0;
  }
  // Of two equal elements the one above the diagonal is read where both stand alone, for both.
  for (Vertex i = 0; i < n; ++i) {
    for (const Vertex j : result.pattern.row(i)) {
      const Vertex up = std::min(i, j), down = std::max(i, j);
      result.places.push_back(alone[static_cast<size_t>(place_of(result.pattern, up, down))]
                                  ? color_of(down) * n + up
                                  : color_of(up) * n + down);
    }
  }
  return result;
}

// The trees between two colours, from their leaves to their middles: what stands alone at a vertex is taken
// from what stands at its only other neighbour. Elements are numbered by their place above the diagonal.
class Peeling {
 public:
  explicit Peeling(const Coloring& coloring)
      : pattern_(coloring.pattern),
        colors_(coloring.colors),
        stars_(static_cast<size_t>(pattern_.num_rows),
               std::vector<Star>(static_cast<size_t>(coloring.count))),
        found_(pattern_.indices.size()) {}

  Coloring::Substitution operator()() {
    const int64_t n = pattern_.num_rows;
    std::vector<End> now, next;
    for (Vertex i = 0; i < n; ++i) {
      for (const Vertex j : pattern_.row(i)) {
        const int64_t element = number(i, j);
        if (i == j) {
          find(element, color_of(i) * n + i, 0);
        } else {
          star(i, color_of(j)).add(element, j);
        }
      }
    }
    for (Vertex i = 0; i < n; ++i) {
      for (const Vertex j : pattern_.row(i)) {
        if (i != j && star(i, color_of(j)).count == 1) now.push_back({i, color_of(j)});
      }
    }
    for (int64_t level = 0; !now.empty(); ++level) {
      next.clear();
      for (const auto& [v, color] : now) {
        Star& mine = star(v, color);
        if (mine.count != 1) continue;  // found from its other end
        const int64_t element = mine.elements;
        const Vertex w = mine.vertices;
        find(element, color * n + v, level);
        for (const int64_t child : mine.taken) {
          found_[static_cast<size_t>(child)].parent = element;
          found_[static_cast<size_t>(element)].subtracted +=
              found_[static_cast<size_t>(child)].subtracted + 1;
        }
        mine.take(element, w);
        Star& other = star(w, color_of(v));
        other.take(element, v);
        if (other.count == 1) next.push_back({w, color_of(v)});
      }
      std::swap(now, next);
    }
    return in_order();
  }

  // Of each element of the pattern, its place in the list.
  std::vector<int64_t> places() const {
    std::vector<int64_t> result;
    for (Vertex i = 0; i < pattern_.num_rows; ++i) {
      for (const Vertex j : pattern_.row(i)) result.push_back(found_[static_cast<size_t>(number(i, j))].at);
    }
    return result;
  }

 private:
  struct End {
    Vertex vertex;
    int64_t color;
  };
  // What of the elements to a vertex's neighbours of one colour is not found yet: the last one is the sum.
  struct Star {
    int64_t count = 0, elements = 0;
    Vertex vertices = 0;
    std::vector<int64_t> taken;

    void add(int64_t element, Vertex neighbour) { ++count, elements += element, vertices += neighbour; }
    void take(int64_t element, Vertex neighbour) {
      --count, elements -= element, vertices -= neighbour;
      taken.push_back(element);
    }
  };
  struct Found {
    int64_t place = kNone, level = 0, parent = kNone, subtracted = 0, at = kNone;
  };

  int64_t color_of(Vertex v) const { return colors_[static_cast<size_t>(v)]; }
  Star& star(Vertex v, int64_t color) { return stars_[static_cast<size_t>(v)][static_cast<size_t>(color)]; }
  int64_t number(Vertex i, Vertex j) const { return place_of(pattern_, std::min(i, j), std::max(i, j)); }
  void find(int64_t element, int64_t place, int64_t level) {
    found_[static_cast<size_t>(element)].place = place;
    found_[static_cast<size_t>(element)].level = level;
  }

  // Those with a parent first, level by level.
  Coloring::Substitution in_order() {
    Order order;
    for (int64_t k = 0; k < std::ssize(found_); ++k) {
      if (found_[static_cast<size_t>(k)].place != kNone) order.push_back(k);
    }
    const auto level = [&](int64_t k) {
      const Found& found = found_[static_cast<size_t>(k)];
      return found.parent == kNone ? std::numeric_limits<int64_t>::max() : found.level;
    };
    std::ranges::stable_sort(order, {}, level);
    Coloring::Substitution result;
    for (const int64_t k : order) {
      found_[static_cast<size_t>(k)].at = std::ssize(result.places);
      result.places.push_back(found_[static_cast<size_t>(k)].place);
    }
    for (const int64_t k : order) {
      const Found& found = found_[static_cast<size_t>(k)];
      result.most_subtracted = std::max(result.most_subtracted, found.subtracted);
      if (found.parent == kNone) continue;
      while (std::ssize(result.levels) <= found.level) result.levels.push_back(std::ssize(result.parents));
      result.parents.push_back(found_[static_cast<size_t>(found.parent)].at);
    }
    result.levels.push_back(std::ssize(result.parents));
    return result;
  }

  const Sparsity& pattern_;
  const Colors& colors_;
  std::vector<std::vector<Star>> stars_;
  std::vector<Found> found_;
};

Coloring by_substitution(Sparsity pattern, Colors colors) {
  const int64_t count = count_of(colors);
  Coloring result{std::move(pattern), Coloring::Groups::symmetric, count, std::move(colors), {}};
  Peeling peeling(result);
  result.substitution = peeling();
  result.places = peeling.places();
  return result;
}

}  // namespace

Coloring color_hessian(Sparsity pattern, Recovery recovery) {
  if (transposed(pattern) != pattern)
    fail<ValueError>("[coloring] the pattern of a Hessian must be symmetric, and that of ", pattern.num_rows,
                     " x ", pattern.num_columns, " is not");
  const Order natural = all_with_elements(pattern),
              largest_first = sorted_by(natural, [&](Vertex v) { return std::ssize(pattern.row(v)); });
  int64_t edges = 0;
  for (const Vertex v : natural)
    edges += std::ranges::count_if(pattern.row(v), [&](Vertex w) { return w > v; });
  const int64_t fewest = colors_at_least(std::ssize(natural), edges);
  const auto best = [&](const auto& color) { return best_of(natural, largest_first, fewest, color); };
  Colors stars = best([&](const Order& order) { return StarColoring(pattern)(order); });
  Colors columns;
  if (longest_row(pattern) < count_of(stars)) columns = color_apart(pattern, pattern);
  const bool are_columns_better = !columns.empty() && count_of(columns) < count_of(stars);
  const int64_t direct = count_of(are_columns_better ? columns : stars);
  if (recovery != Recovery::direct && direct > fewest) {
    Colors acyclic = best([&](const Order& order) { return AcyclicColoring(pattern)(order); });
    if (count_of(acyclic) < direct) {
      Coloring found = by_substitution(pattern, std::move(acyclic));
      if (recovery == Recovery::substitution || found.substitution.most_subtracted <= kMostSubtracted)
        return found;
    }
  }
  return are_columns_better ? by_columns(std::move(pattern), std::move(columns))
                            : by_stars(std::move(pattern), std::move(stars));
}

}  // namespace tidu
