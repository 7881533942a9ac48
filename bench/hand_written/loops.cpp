// What the benchmarks hold a compiler's results against: the training step of a network with one hidden layer
// and a chain of nine cheap operations, written out for the machine at hand.
#include <dnnl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace {

// libraries.py makes one.
struct Step {
  int64_t batch, inputs, hidden, classes, count;
  float rate;
  const float* x;
  const int64_t* labels;
  float *w1, *b1, *w2, *b2;    // (hidden, inputs), (hidden), (classes, hidden), (classes)
  float *h, *z, *dh;           // (batch, hidden), (batch, classes), (batch, hidden)
  float *g1, *gb1, *g2, *gb2;  // the parameters' gradients
  float* moments;              // of Adam, two of each parameter; none for SGD
};

constexpr int64_t kWorthThreads = 1 << 15;  // elements
constexpr int64_t kColumns = 64;

// c = a b + beta c, where a and b are of (m, k) and (k, n) when not transposed.
void product(char ta, char tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a, const float* b,
             float beta, float* c) {
  dnnl_sgemm(ta, tb, m, n, k, alpha, a, ta == 'T' ? m : k, b, tb == 'T' ? k : n, beta, c, n);
}

void hidden_units(Step& s) {
  product('N', 'T', s.batch, s.hidden, s.inputs, 1, s.x, s.w1, 0, s.h);
#pragma omp parallel for if (s.batch * s.hidden >= kWorthThreads)
  for (int64_t i = 0; i < s.batch; ++i) {
    float* row = s.h + i * s.hidden;
    for (int64_t j = 0; j < s.hidden; ++j) row[j] = 1 / (1 + std::exp(-(row[j] + s.b1[j])));
  }
}

// Leaves the loss's gradient in z.
float cross_entropy(Step& s) {
  product('N', 'T', s.batch, s.classes, s.hidden, 1, s.h, s.w2, 0, s.z);
  std::fill_n(s.gb2, s.classes, 0.0f);
  float loss = 0;
  const float scale = 1.0f / static_cast<float>(s.batch);
  for (int64_t i = 0; i < s.batch; ++i) {
    float* row = s.z + i * s.classes;
    float largest = -INFINITY, total = 0;
    for (int64_t j = 0; j < s.classes; ++j) largest = std::max(largest, row[j] += s.b2[j]);
    const float of_label = row[s.labels[i]] - largest;
    for (int64_t j = 0; j < s.classes; ++j) total += row[j] = std::exp(row[j] - largest);
    loss += std::log(total) - of_label;
    for (int64_t j = 0; j < s.classes; ++j) row[j] *= scale / total;
    row[s.labels[i]] -= scale;
    for (int64_t j = 0; j < s.classes; ++j) s.gb2[j] += row[j];
  }
  return loss * scale;
}

// Of what goes into the sigmoid, and the sums of its columns.
void hidden_gradient(Step& s) {
  product('N', 'N', s.batch, s.hidden, s.classes, 1, s.z, s.w2, 0, s.dh);
#pragma omp parallel for if (s.batch * s.hidden >= kWorthThreads)
  for (int64_t begin = 0; begin < s.hidden; begin += kColumns) {
    const int64_t end = std::min(begin + kColumns, s.hidden);
    std::fill(s.gb1 + begin, s.gb1 + end, 0.0f);
    for (int64_t i = 0; i < s.batch; ++i) {
      const float* h = s.h + i * s.hidden;
      float* dh = s.dh + i * s.hidden;
      for (int64_t j = begin; j < end; ++j) s.gb1[j] += dh[j] *= h[j] * (1 - h[j]);
    }
  }
}

void descend(float* w, const float* g, int64_t n, float rate) {
  for (int64_t i = 0; i < n; ++i) w[i] -= rate * g[i];
}

float* adam(const Step& s, float* w, const float* g, int64_t n, float* m) {
  constexpr float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  const float count = static_cast<float>(s.count);
  const float rate = s.rate / (1 - std::pow(beta1, count)), scale = 1 / (1 - std::pow(beta2, count));
  float* v = m + n;
#pragma omp parallel for simd if (parallel : n >= kWorthThreads)
  for (int64_t i = 0; i < n; ++i) {
    m[i] += (1 - beta1) * (g[i] - m[i]);
    v[i] += (1 - beta2) * (g[i] * g[i] - v[i]);
    w[i] -= rate * m[i] / (std::sqrt(v[i] * scale) + epsilon);
  }
  return v + n;
}

}  // namespace

extern "C" {

float training_step(Step* step) {
  Step& s = *step;
  ++s.count;
  hidden_units(s);
  const float loss = cross_entropy(s);
  hidden_gradient(s);
  if (s.moments == nullptr) {  // the update is the product's own
    product('T', 'N', s.classes, s.hidden, s.batch, -s.rate, s.z, s.h, 1, s.w2);
    product('T', 'N', s.hidden, s.inputs, s.batch, -s.rate, s.dh, s.x, 1, s.w1);
    descend(s.b1, s.gb1, s.hidden, s.rate);
    descend(s.b2, s.gb2, s.classes, s.rate);
    return loss;
  }
  product('T', 'N', s.classes, s.hidden, s.batch, 1, s.z, s.h, 0, s.g2);
  product('T', 'N', s.hidden, s.inputs, s.batch, 1, s.dh, s.x, 0, s.g1);
  float* moments = adam(s, s.w1, s.g1, s.hidden * s.inputs, s.moments);
  moments = adam(s, s.b1, s.gb1, s.hidden, moments);
  moments = adam(s, s.w2, s.g2, s.classes * s.hidden, moments);
  adam(s, s.b2, s.gb2, s.classes, moments);
  return loss;
}

void nine_operations(const float* a, const float* b, const float* c, float* y, int64_t n) {
#pragma omp parallel for simd if (parallel : n >= kWorthThreads)
  for (int64_t i = 0; i < n; ++i) {
    const float t = ((a[i] + b[i]) * c[i] - a[i]) * 0.5f + b[i];
    y[i] = (t * t - c[i]) * a[i] + 1;
  }
}

// With all threads, as what is held against it.
void copy(const float* x, float* y, int64_t n) {
#pragma omp parallel for simd if (parallel : n >= kWorthThreads)
  for (int64_t i = 0; i < n; ++i) y[i] = x[i];
}
}
