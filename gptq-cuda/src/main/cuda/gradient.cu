// What a backward pass needs beside the kernels of the forward pass: derivatives of norms, activation
// functions, attention's softmax and the loss, and draws from the model's own distribution.
#include "activation.cu"
#include "packs.cuh"

/** dx = r·(gain∘dy − x·r²·mean(gain∘dy∘x)) for each run of gain's columns; dx may be dy. */
template <class T>
__device__ inline void rmsNormGradientOf(Matrix x, Matrix gain, float epsilon, Matrix dy,
                                         Matrix dx) {
  int n = gain.columns;
  long long from = (long long)blockIdx.y * n;
  const T* in = x.row<T>(blockIdx.x) + from;
  const T* d = dy.row<T>(blockIdx.x) + from;
  T* out = dx.row<T>(blockIdx.x) + from;
  float squares = 0;
  float dot = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float v = load(in + c);
    squares = fmaf(v, v, squares);
    dot = fmaf(load(&gain.at<T>(0, c)) * load(d + c), v, dot);
  }
  squares = reduceBlock(squares, 0.0f, Sum());
  dot = reduceBlock(dot, 0.0f, Sum());
  float r = 1.0f / sqrtf(squares / n + epsilon);
  float factor = r * r * dot / n;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float h = load(&gain.at<T>(0, c)) * load(d + c);
    store(out + c, r * (h - load(in + c) * factor));
  }
}
KERNEL_OF_ACTIVATIONS(rmsNormGradient,
                      (Matrix x, Matrix gain, float epsilon, Matrix dy, Matrix dx),
                      (x, gain, epsilon, dy, dx))

/** dx = r·(h − mean(h) − z·mean(h∘z)), h = gain∘dy, z = r·(x − mean); dx may be dy. */
template <class T>
__device__ inline void layerNormGradientOf(Matrix x, Matrix gain, float epsilon, Matrix dy,
                                           Matrix dx) {
  int n = x.columns;
  const T* in = x.row<T>(blockIdx.x);
  const T* d = dy.row<T>(blockIdx.x);
  T* out = dx.row<T>(blockIdx.x);
  float total = 0;
  float sum = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    total += load(in + c);
    sum = fmaf(load(&gain.at<T>(0, c)), load(d + c), sum);
  }
  float mean = reduceBlock(total, 0.0f, Sum()) / n;
  sum = reduceBlock(sum, 0.0f, Sum());
  float squares = 0;
  float dot = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float v = load(in + c) - mean;
    squares = fmaf(v, v, squares);
    dot = fmaf(load(&gain.at<T>(0, c)) * load(d + c), v, dot);
  }
  squares = reduceBlock(squares, 0.0f, Sum());
  dot = reduceBlock(dot, 0.0f, Sum());
  float r = 1.0f / sqrtf(squares / n + epsilon);
  float factor = r * r * dot / n;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float h = load(&gain.at<T>(0, c)) * load(d + c);
    store(out + c, r * (h - sum / n - (load(in + c) - mean) * factor));
  }
}
KERNEL_OF_ACTIVATIONS(layerNormGradient,
                      (Matrix x, Matrix gain, float epsilon, Matrix dy, Matrix dx),
                      (x, gain, epsilon, dy, dx))

__device__ inline float slopeOf(int function, float x) {
  switch (function) {
    case SILU: {
      float s = 1.0f / (1.0f + expf(-x));
      return s * (1.0f + x * (1.0f - s));
    }
    case GELU:
      return 0.5f * erfcf(-0.70710678118654752f * x) +
             0.39894228040143268f * x * expf(-0.5f * x * x);
    case GELU_TANH: {
      float square = x * x;
      float t = tanhf(0.79788456080286536f * x * (1.0f + 0.044715f * square));
      float inner = 0.79788456080286536f * (1.0f + 3.0f * 0.044715f * square);
      return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
    }
    case RELU_SQUARED:
      return x > 0 ? 2 * x : 0;
    case SIGMOID: {
      float s = 1.0f / (1.0f + expf(-x));
      return s * (1.0f - s);
    }
    case IDENTITY:
      return 1;
    case ELU_EXCESS:
      return x < 0 ? expm1f(x) : 0;
    default:
      return x > 0 ? 1 : 0;
  }
}

/** dx = f'(x)∘dy. */
template <class T>
__device__ inline void activateGradientOf(int function, Matrix x, Matrix dy, Matrix dx) {
  forEachElement(dx, [&](long long r, long long c) {
    store(&dx.at<T>(r, c), slopeOf(function, load(&x.at<T>(r, c))) * load(&dy.at<T>(r, c)));
  });
}
KERNEL_OF_ACTIVATIONS(activateGradient, (int function, Matrix x, Matrix dy, Matrix dx),
                      (function, x, dy, dx))

/** A dev.gptq.backend.ScoreRows. */
struct ScoreRows {
  int first;
  int window;
  float softCap;
  float slope;
  float sink;

  /** The first key that the query at a position sees. */
  __device__ int from(int at) const {
    int begin = window > 0 ? at - window + 1 : 0;
    return begin > 0 ? begin : 0;
  }

  /** The end of the keys that it sees. */
  __device__ int to(int at, int keys) const { return at + 1 < keys ? at + 1 : keys; }
};

/** The score s of the query at a position and key j, capped and with its bias. */
__device__ inline float biasedScore(float s, const ScoreRows& rows, int at, int j) {
  if (rows.softCap > 0) {
    s = rows.softCap * tanhf(s / rows.softCap);
  }
  return s + rows.slope * float(j - at);
}

/** The derivative of the cap. */
__device__ inline float slopeOfCap(float s, const ScoreRows& rows) {
  if (rows.softCap > 0) {
    float t = tanhf(s / rows.softCap);
    return 1.0f - t * t;
  }
  return 1.0f;
}

/** The weights of a query and the gradient of its scores; a block takes one row. */
template <class T>
__device__ inline void attentionGradientOf(Matrix scores, Matrix dWeights, int queries,
                                           ScoreRows rows, Matrix weights, Matrix dScores) {
  int i = blockIdx.x;
  int at = rows.first + i % queries;
  int from = rows.from(at);
  int to = rows.to(at, scores.columns);
  float most = rows.sink;
  for (int j = from + threadIdx.x; j < to; j += blockDim.x) {
    most = fmaxf(most, biasedScore(scores.at<float>(i, j), rows, at, j));
  }
  most = reduceBlock(most, rows.sink, Max());
  float sum = 0;
  float dot = 0;
  for (int j = from + threadIdx.x; j < to; j += blockDim.x) {
    float e = expf(biasedScore(scores.at<float>(i, j), rows, at, j) - most);
    sum += e;
    dot = fmaf(e, dWeights.at<float>(i, j), dot);
  }
  sum = reduceBlock(sum, 0.0f, Sum()) + expf(rows.sink - most);
  float mean = reduceBlock(dot, 0.0f, Sum()) / sum;
  for (int j = threadIdx.x; j < scores.columns; j += blockDim.x) {
    float p = 0;
    float d = 0;
    if (j >= from && j < to) {
      p = expf(biasedScore(scores.at<float>(i, j), rows, at, j) - most) / sum;
      d = p * (dWeights.at<float>(i, j) - mean) * slopeOfCap(scores.at<float>(i, j), rows);
    }
    store(&weights.at<T>(i, j), p);
    store(&dScores.at<T>(i, j), d);
  }
}
KERNEL_OF_ACTIVATIONS(attentionGradient,
                      (Matrix scores, Matrix dWeights, int queries, ScoreRows rows, Matrix weights,
                       Matrix dScores),
                      (scores, dWeights, queries, rows, weights, dScores))

/** Fours of columns that a thread of attentionGradientShort and attentionGradientMiddle holds. */
static const int HELD = 4;

/** Combines a value of each thread of a row, which a warp takes or a block of several. */
template <int WARPS, class Op>
__device__ inline float reduceRow(float value, float neutral, Op op) {
  return WARPS == 1 ? reduceWarp(value, op) : reduceBlock(value, neutral, op);
}

/** Four elements of a row from column j on, of which some may be behind the last. */
template <class T>
__device__ inline Pack<T, QUAD> quadOf(const Matrix& m, int i, int j, bool quads) {
  if (quads) {
    return Pack<T, QUAD>::at(&m.at<T>(i, j));
  }
  Pack<T, QUAD> x;
#pragma unroll
  for (int c = 0; c < QUAD; c++) {
    x.v[c] = j + c < m.columns ? m.at<T>(i, j + c) : T();
  }
  return x;
}

/** Stores them. */
template <class T>
__device__ inline void putQuad(const Pack<T, QUAD>& x, const Matrix& m, int i, int j, bool quads) {
  if (quads) {
    x.to(&m.at<T>(i, j));
    return;
  }
#pragma unroll
  for (int c = 0; c < QUAD; c++) {
    if (j + c < m.columns) {
      m.at<T>(i, j + c) = x.v[c];
    }
  }
}

/** Whether rows are contiguous and consist of fours. */
template <class T>
__device__ inline bool isOfQuads(const Matrix& m) {
  return m.columnStride == 1 && m.columns % QUAD == 0 && inQuads<T>(m);
}

/**
 * The same with a row in the registers of its threads: of 512 columns for each warp at most. What
 * no query sees is neither read nor computed.
 */
template <int WARPS, class T>
__device__ inline void attentionGradientHeld(Matrix scores, Matrix dWeights, int queries,
                                             ScoreRows rows, Matrix weights, Matrix dScores) {
  const int span = 32 * WARPS * QUAD;
  int i = blockIdx.x * blockDim.y + threadIdx.y;
  if (i >= scores.rows) {
    return;
  }
  bool quads = isOfQuads<float>(scores) && isOfQuads<float>(dWeights) && isOfQuads<T>(weights) &&
               isOfQuads<T>(dScores);
  int at = rows.first + i % queries;
  int from = rows.from(at);
  int to = rows.to(at, scores.columns);
  Pack<float, QUAD> score[HELD];
  Pack<float, QUAD> e[HELD];
  Pack<float, QUAD> d[HELD];
  float most = rows.sink;
#pragma unroll
  for (int o = 0; o < HELD; o++) {
    int j = o * span + threadIdx.x * QUAD;
    bool some = j < to && j + QUAD > from;
    if (some) {
      score[o] = quadOf<float>(scores, i, j, quads);
      d[o] = quadOf<float>(dWeights, i, j, quads);
    }
#pragma unroll
    for (int c = 0; c < QUAD; c++) {
      bool seen = some && j + c >= from && j + c < to;
      e[o].v[c] = seen ? biasedScore(score[o].v[c], rows, at, j + c) : -__uint_as_float(0x7f800000u);
      d[o].v[c] = seen ? d[o].v[c] : 0.0f;
      most = fmaxf(most, e[o].v[c]);
    }
  }
  most = reduceRow<WARPS>(most, rows.sink, Max());
  float sum = 0;
  float dot = 0;
#pragma unroll
  for (int o = 0; o < HELD; o++) {
    if (o * span < to && (o + 1) * span > from) {
#pragma unroll
      for (int c = 0; c < QUAD; c++) {
        e[o].v[c] = expf(e[o].v[c] - most);
        sum += e[o].v[c];
        dot = fmaf(e[o].v[c], d[o].v[c], dot);
      }
    }
  }
  sum = reduceRow<WARPS>(sum, 0.0f, Sum()) + expf(rows.sink - most);
  float inverse = 1.0f / sum;
  float mean = reduceRow<WARPS>(dot, 0.0f, Sum()) * inverse;
#pragma unroll
  for (int o = 0; o < HELD; o++) {
    int j = o * span + threadIdx.x * QUAD;
    bool some = j < to && j + QUAD > from;
    Pack<T, QUAD> p;
    Pack<T, QUAD> gradient;
#pragma unroll
    for (int c = 0; c < QUAD; c++) {
      float own = some ? e[o].v[c] * inverse : 0.0f;
      float slope = own > 0 ? slopeOfCap(score[o].v[c], rows) : 0.0f;
      store(&p.v[c], own);
      store(&gradient.v[c], own * (d[o].v[c] - mean) * slope);
    }
    if (j < scores.columns) {
      putQuad(p, weights, i, j, quads);
      putQuad(gradient, dScores, i, j, quads);
    }
  }
}

/** A warp a row, several rows a block. */
template <class T>
__device__ inline void attentionGradientShortOf(Matrix scores, Matrix dWeights, int queries,
                                                ScoreRows rows, Matrix weights, Matrix dScores) {
  attentionGradientHeld<1, T>(scores, dWeights, queries, rows, weights, dScores);
}

/** Four warps a row, one row a block. */
template <class T>
__device__ inline void attentionGradientMiddleOf(Matrix scores, Matrix dWeights, int queries,
                                                 ScoreRows rows, Matrix weights, Matrix dScores) {
  attentionGradientHeld<4, T>(scores, dWeights, queries, rows, weights, dScores);
}
KERNEL_OF_ACTIVATIONS(attentionGradientShort,
                      (Matrix scores, Matrix dWeights, int queries, ScoreRows rows, Matrix weights,
                       Matrix dScores),
                      (scores, dWeights, queries, rows, weights, dScores))
KERNEL_OF_ACTIVATIONS(attentionGradientMiddle,
                      (Matrix scores, Matrix dWeights, int queries, ScoreRows rows, Matrix weights,
                       Matrix dScores),
                      (scores, dWeights, queries, rows, weights, dScores))

/** The largest element of a row, for all threads of the block. */
__device__ inline float largestOfRow(const float* row, int n) {
  float most = -__uint_as_float(0x7f800000u);
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    most = fmaxf(most, row[c]);
  }
  return reduceBlock(most, -__uint_as_float(0x7f800000u), Max());
}

/** dLogits = softmax(logits), less one at the target; a block takes one row. */
template <class T>
__device__ inline void crossEntropyGradientOf(Matrix logits, Matrix targets, Matrix dLogits) {
  const float* row = logits.row<float>(blockIdx.x);
  int n = logits.columns;
  float most = largestOfRow(row, n);
  float sum = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    sum += expf(row[c] - most);
  }
  sum = reduceBlock(sum, 0.0f, Sum());
  int target = targets.at<int>(0, blockIdx.x);
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    store(&dLogits.at<T>(blockIdx.x, c), expf(row[c] - most) / sum - (c == target ? 1.0f : 0.0f));
  }
}
KERNEL_OF_ACTIVATIONS(crossEntropyGradient, (Matrix logits, Matrix targets, Matrix dLogits),
                      (logits, targets, dLogits))

/** dLogits = softmax(logits) − softmax(base), and KL(base ‖ logits); a block takes one row. */
template <class T>
__device__ inline void divergenceGradientOf(Matrix logits, Matrix base, Matrix divergence,
                                            Matrix dLogits) {
  const float* row = logits.row<float>(blockIdx.x);
  const float* baseRow = base.row<float>(blockIdx.x);
  int n = logits.columns;
  float most = largestOfRow(row, n);
  float mostOfBase = largestOfRow(baseRow, n);
  float sum = 0;
  float sumOfBase = 0;
  float weighted = 0;
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    float x = row[c] - most;
    float y = baseRow[c] - mostOfBase;
    float p = expf(y);
    sum += expf(x);
    sumOfBase += p;
    weighted = fmaf(p, y - x, weighted);
  }
  sum = reduceBlock(sum, 0.0f, Sum());
  sumOfBase = reduceBlock(sumOfBase, 0.0f, Sum());
  weighted = reduceBlock(weighted, 0.0f, Sum());
  for (int c = threadIdx.x; c < n; c += blockDim.x) {
    store(&dLogits.at<T>(blockIdx.x, c),
          expf(row[c] - most) / sum - expf(baseRow[c] - mostOfBase) / sumOfBase);
  }
  if (threadIdx.x == 0) {
    divergence.at<float>(0, blockIdx.x) = weighted / sumOfBase + logf(sum) - logf(sumOfBase);
  }
}
KERNEL_OF_ACTIVATIONS(divergenceGradient,
                      (Matrix logits, Matrix base, Matrix divergence, Matrix dLogits),
                      (logits, base, divergence, dLogits))

static const int SAMPLE_THREADS = 256;

/** The first token at which the sum of probabilities exceeds uniform; a block takes one row. */
extern "C" __global__ void __launch_bounds__(256)
    sampleToken(Matrix logits, Matrix uniform, Matrix targets) {
  __shared__ float sums[SAMPLE_THREADS];
  const float* row = logits.row<float>(blockIdx.x);
  int n = logits.columns;
  float most = largestOfRow(row, n);
  int run = (n + SAMPLE_THREADS - 1) / SAMPLE_THREADS;
  int from = threadIdx.x * run;
  int to = from + run < n ? from + run : n;
  float sum = 0;
  for (int c = from; c < to; c++) {
    sum += expf(row[c] - most);
  }
  sums[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    float total = 0;
    for (int i = 0; i < SAMPLE_THREADS; i++) {
      total += sums[i];
    }
    float bound = uniform.at<float>(0, blockIdx.x) * total;
    float before = 0;
    int own = 0;
    while (own + 1 < SAMPLE_THREADS && before + sums[own] <= bound) {
      before += sums[own];
      own++;
    }
    int token = own * run < n ? own * run : n - 1;
    float reached = before + expf(row[token] - most);
    while (reached <= bound && token + 1 < n) {
      token++;
      reached += expf(row[token] - most);
    }
    targets.at<int>(0, blockIdx.x) = token;
  }
}

/** sums[t] += Σ x[t]²; a block takes one row. */
template <class T>
__device__ inline void addRowSquaresOf(Matrix x, Matrix sums) {
  const T* row = x.row<T>(blockIdx.x);
  float sum = 0;
  for (int c = threadIdx.x; c < x.columns; c += blockDim.x) {
    float v = load(row + c);
    sum = fmaf(v, v, sum);
  }
  sum = reduceBlock(sum, 0.0f, Sum());
  if (threadIdx.x == 0) {
    sums.at<float>(0, blockIdx.x) += sum;
  }
}
KERNEL_OF_ACTIVATIONS(addRowSquares, (Matrix x, Matrix sums), (x, sums))
