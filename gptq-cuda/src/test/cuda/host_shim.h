// Runs the kernels on the host, block by block: each GPU thread is a fiber, and barriers and warp
// shuffles switch between the fibers of a block. Copies that a thread starts end when they are waited
// for and no sooner: until then their target holds NaN, which a missing wait reads. What the GPU's
// own headers would define is defined here by its meaning. Built without contraction, so that the
// exact kernels keep their bits.
#define GPTQ_HOST_SHIM

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <utility>
#include <vector>
#include <ucontext.h>

#define __device__
#define __global__
#define __shared__ static
#define __launch_bounds__(...)
// Read by HostKernels: how many blocks of this kernel run together.
#define CLUSTER_OF(blocks) [[shim::cluster(blocks)]]
#define GRID_CONSTANT
#define DYNAMIC_SHARED(type, name) \
  type* name = reinterpret_cast<type*>(shim::dynamicShared[shim::rankOf(shim::current)])

struct Index {
  unsigned x, y, z;
};

static Index threadIdx, blockIdx, blockDim, gridDim;

namespace shim {

const int MAX_THREADS = 1024;
const int WARP = 32;
const int MAX_CLUSTER = 2;
const size_t STACK = 64 << 10;

alignas(1024) static unsigned char dynamicShared[MAX_CLUSTER][256 << 10];

struct Fiber {
  ucontext_t start;
  void* state[5];
  bool started;
};

/** A set of threads. */
struct Threads {
  uint64_t words[MAX_THREADS / 64];

  void add(int thread) { words[thread / 64] |= 1ull << thread % 64; }
  void remove(int thread) { words[thread / 64] &= ~(1ull << thread % 64); }
  bool has(int thread) const { return words[thread / 64] >> thread % 64 & 1; }

  /** The first member from a thread on, or -1. */
  int next(int from) const {
    for (int w = from / 64; w < MAX_THREADS / 64; w++) {
      uint64_t left = w == from / 64 ? words[w] & ~0ull << from % 64 : words[w];
      if (left != 0) {
        return 64 * w + __builtin_ctzll(left);
      }
    }
    return -1;
  }
};

/** Threads from `begin` to `end` that wait for each other. */
struct Barrier {
  int begin;
  int end;
  int members;
  int arrived;
};

static Fiber fibers[MAX_THREADS];
static std::vector<unsigned char> stacks(MAX_THREADS* STACK);
static void* scheduler[5];
static Index firstBlock;
static Threads ready;
static Threads finished;
static int current;
static int threads;
static int threadsOfBlock;
static Barrier cluster;
static Barrier blocks[MAX_CLUSTER];
static Barrier first;
static Barrier warps[MAX_THREADS / WARP];
static uint64_t slots[MAX_THREADS];
static std::function<void()> body;
void forgetCopies(int thread);
void forgetBoxes();

inline int rankOf(int thread) { return thread / threadsOfBlock; }

static void run();

/** Goes on with a thread. */
__attribute__((noinline)) static void resume(int thread) {
  current = thread;
  int ofBlock = thread % threadsOfBlock;
  threadIdx = {ofBlock % blockDim.x, ofBlock / blockDim.x, 0};
  blockIdx = {firstBlock.x + rankOf(thread), firstBlock.y, firstBlock.z};
  Fiber& fiber = fibers[thread];
  if (fiber.started) {
    __builtin_longjmp(fiber.state, 1);
  }
  fiber.started = true;
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = &stacks[thread * STACK];
  fiber.start.uc_stack.ss_size = STACK;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, run, 0);
  setcontext(&fiber.start);
}

__attribute__((noinline)) static void end() { __builtin_longjmp(scheduler, 1); }

/** Goes on with the next thread that does not wait; returns when it is this one's turn again. */
__attribute__((noinline)) static void yield() {
  int next = ready.next(current + 1);
  if (next < 0) {
    next = ready.next(0);
  }
  if (next == current) {
    return;
  }
  if (__builtin_setjmp(fibers[current].state) == 0) {
    if (next >= 0) {
      resume(next);
    }
    for (int i = 0; i < threads; i++) {
      if (!finished.has(i)) {
        fprintf(stderr, "all threads wait for each other, thread %d among them\n", i);
        abort();
      }
    }
    end();
  }
}

static void release(Barrier& b) {
  b.arrived = 0;
  for (int i = b.begin; i < b.end; i++) {
    if (!finished.has(i)) {
      ready.add(i);
    }
  }
}

__attribute__((noinline)) static void await(Barrier& b) {
  if (++b.arrived == b.members) {
    release(b);
  } else {
    ready.remove(current);
    yield();
  }
}

/** A thread that has returned no longer counts. */
static void leave(Barrier& b) {
  if (--b.members > 0 && b.arrived == b.members) {
    release(b);
  }
}

/** A fiber runs one thread of each block in turn and never ends: starting one is slow. */
static void run() {
  while (true) {
    body();
    ready.remove(current);
    finished.add(current);
    leave(cluster);
    leave(blocks[rankOf(current)]);
    leave(warps[current / WARP]);
    yield();
  }
}

/** Runs the blocks of a cluster from `start` on, which is one block as a rule. */
static void runCluster(size_t sharedBytes, Index start) {
  firstBlock = start;
  ready = {};
  finished = {};
  cluster = {0, threads, threads, 0};
  first = {0, 0, 0, 0};
  forgetBoxes();
  for (int rank = 0; rank < rankOf(threads); rank++) {
    memset(dynamicShared[rank], 0xff, sharedBytes);
    blocks[rank] = {rank * threadsOfBlock, (rank + 1) * threadsOfBlock, threadsOfBlock, 0};
  }
  for (int i = 0; i < threads; i += WARP) {
    int to = threads - i < WARP ? threads : i + WARP;
    warps[i / WARP] = {i, to, to - i, 0};
  }
  for (int i = 0; i < threads; i++) {
    ready.add(i);
    forgetCopies(i);
  }
  if (__builtin_setjmp(scheduler) == 0) {
    resume(0);
  }
}

inline void launch(unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                   unsigned sharedBytes, int clusterSize, std::function<void()> kernel) {
  gridDim = {gx, gy, gz};
  blockDim = {bx, by, 1};
  threadsOfBlock = bx * by;
  threads = threadsOfBlock * clusterSize;
  body = std::move(kernel);
  for (unsigned z = 0; z < gz; z++) {
    for (unsigned y = 0; y < gy; y++) {
      for (unsigned x = 0; x < gx; x += clusterSize) {
        runCluster(sharedBytes, {x, y, z});
      }
    }
  }
}

template <class... A, size_t... I>
void callWith(void (*kernel)(A...), void** parameters, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_reference_t<A>*>(parameters[I])...);
}

/** Calls a kernel with the values that an array of pointers points to. */
template <class... A>
void call(void (*kernel)(A...), void** parameters) {
  callWith(kernel, parameters, std::index_sequence_for<A...>{});
}

}  // namespace shim

inline void __syncthreads() { shim::await(shim::blocks[shim::rankOf(shim::current)]); }
inline void __syncwarp() { shim::await(shim::warps[shim::current / shim::WARP]); }

template <class T>
T __shfl_sync(unsigned, T value, int source) {
  int first = shim::current / shim::WARP * shim::WARP;
  memcpy(&shim::slots[shim::current], &value, sizeof value);
  __syncwarp();
  memcpy(&value, &shim::slots[first + (source & (shim::WARP - 1))], sizeof value);
  __syncwarp();
  return value;
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int distance) {
  return __shfl_sync(mask, value, (shim::current & (shim::WARP - 1)) ^ distance);
}

inline bool anyOfWarp(bool it) {
  int first = shim::current / shim::WARP * shim::WARP;
  shim::slots[shim::current] = it;
  __syncwarp();
  bool any = false;
  for (int i = first; i < first + shim::WARP && i < shim::threads; i++) {
    any = any || shim::slots[i] != 0;
  }
  __syncwarp();
  return any;
}

inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }

inline unsigned __float_as_uint(float value) {
  unsigned bits;
  memcpy(&bits, &value, 4);
  return bits;
}

inline float __uint_as_float(unsigned bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

inline unsigned short floatToBfloat(float value) {
  unsigned bits = __float_as_uint(value);
  if (value != value) {
    return 0x7fff;
  }
  return (unsigned short)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

namespace shim {
/** All float16, which products of halves read many times. */
struct Halves {
  float values[1 << 16];

  Halves() {
    for (int half = 0; half < 1 << 16; half++) {
      int exponent = (half >> 10) & 31;
      int fraction = half & 1023;
      float magnitude = exponent == 0    ? ldexpf(float(fraction), -24)
                        : exponent == 31 ? (fraction ? NAN : INFINITY)
                                         : ldexpf(float(fraction + 1024), exponent - 25);
      values[half] = half & 0x8000 ? -magnitude : magnitude;
    }
  }
};

static const Halves halves;
}  // namespace shim

inline float halfToFloat(unsigned short half) { return shim::halves.values[half]; }

inline unsigned short floatToHalf(float value) {
  unsigned short sign = __float_as_uint(value) >> 16 & 0x8000;
  float magnitude = fabsf(value);
  if (magnitude != magnitude) {
    return 0x7fff;
  }
  if (magnitude >= 65520.0f) {
    return sign | 0x7c00;
  }
  if (magnitude == 0) {
    return sign;
  }
  int exponent;
  frexpf(magnitude, &exponent);
  // Steps of 2^-24 for subnormals, of 2^(exponent - 11) above; nearbyint rounds to nearest even.
  int step = exponent - 11 < -24 ? -24 : exponent - 11;
  unsigned steps = unsigned(nearbyintf(ldexpf(magnitude, -step)));
  unsigned bits = step == -24 ? steps : ((unsigned(step + 25) << 10) + steps - 1024);
  return sign | (unsigned short)bits;
}

namespace shim {
static unsigned fragments[MAX_THREADS][6];
static const void* rowPointers[MAX_THREADS];

inline float half(unsigned pair, int which) {
  return __uint_as_float(which ? pair & 0xffff0000u : pair << 16);
}

inline float element(int warp, int fragment, int lane, int which) {
  return half(fragments[warp * WARP + lane][fragment], which);
}
}  // namespace shim

inline void multiplyAdd(float* c, const unsigned* a, const unsigned* b) {
  memcpy(shim::fragments[shim::current], a, 16);
  memcpy(shim::fragments[shim::current] + 4, b, 8);
  __syncwarp();
  int warp = shim::current / shim::WARP;
  int lane = shim::current & (shim::WARP - 1);
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + (i >> 1) * 8;
    int column = 2 * (lane & 3) + (i & 1);
    double sum = c[i];
    for (int k = 0; k < 16; k++) {
      int part = (k & 7) >> 1;
      float x = shim::element(warp, (row >> 3) + (k >> 3) * 2, (row & 7) * 4 + part, k & 1);
      float y = shim::element(warp, 4 + (k >> 3), column * 4 + part, k & 1);
      sum += double(x) * y;
    }
    c[i] = float(sum);
  }
  __syncwarp();
}

inline void loadMatrices(unsigned* r, const void* row) {
  shim::rowPointers[shim::current] = row;
  __syncwarp();
  int first = shim::current / shim::WARP * shim::WARP;
  int lane = shim::current & (shim::WARP - 1);
  for (int i = 0; i < 4; i++) {
    const char* from = static_cast<const char*>(shim::rowPointers[first + 8 * i + lane / 4]);
    memcpy(&r[i], from + 4 * (lane & 3), 4);
  }
  __syncwarp();
}

inline void loadTransposedMatrices(unsigned* r, const void* row) {
  shim::rowPointers[shim::current] = row;
  __syncwarp();
  int first = shim::current / shim::WARP * shim::WARP;
  int lane = shim::current & (shim::WARP - 1);
  for (int i = 0; i < 4; i++) {
    const void* const* rows = shim::rowPointers + first + 8 * i + 2 * (lane & 3);
    unsigned low = static_cast<const unsigned short*>(rows[0])[lane / 4];
    unsigned high = static_cast<const unsigned short*>(rows[1])[lane / 4];
    r[i] = low | high << 16;
  }
  __syncwarp();
}

namespace shim {
/** A copy that is under way: its target holds NaN until somebody waits for it. */
struct Copy {
  void* to;
  const void* from;
  bool valid;
  unsigned long group;

  void begin() const { memset(to, 0xff, 16); }

  void end() const {
    if (valid) {
      memcpy(to, from, 16);
    } else {
      memset(to, 0, 16);
    }
  }
};

/** Copies that a thread has started, in order, and the groups it has ended. */
struct Copies {
  std::vector<Copy> pending;
  unsigned long groups;
};

static Copies copies[MAX_THREADS];

void forgetCopies(int thread) { copies[thread] = {{}, 0}; }
}  // namespace shim

inline void startCopy(void* shared, const void* global, bool valid) {
  shim::Copies& own = shim::copies[shim::current];
  own.pending.push_back({shared, global, valid, own.groups});
  own.pending.back().begin();
}

inline void endCopies() { shim::copies[shim::current].groups++; }

template <int PENDING>
void awaitCopies() {
  shim::Copies& own = shim::copies[shim::current];
  size_t done = 0;
  while (done < own.pending.size() && own.pending[done].group + PENDING < own.groups) {
    own.pending[done++].end();
  }
  own.pending.erase(own.pending.begin(), own.pending.begin() + done);
}

inline unsigned packPair(float low, float high) {
  return floatToBfloat(low) | unsigned(floatToBfloat(high)) << 16;
}

inline unsigned multiplyAddPairs(unsigned a, unsigned b, unsigned c) {
  // Products of bfloat16 are exact in double, and so are their sums where exponents are near.
  float low = float(double(shim::half(a, 0)) * shim::half(b, 0) + shim::half(c, 0));
  float high = float(double(shim::half(a, 1)) * shim::half(b, 1) + shim::half(c, 1));
  return packPair(low, high);
}

// The matrix instructions of compute capability 9.0 run at once here: nothing is under way.
inline void beginProducts() {}
inline void endProducts() {}

template <int PENDING>
void awaitProducts() {}

namespace shim {
/** With elements of 16 bits that a function widens. */
template <int COLUMNS, class Widen>
void product(float* c, const unsigned* a, const void* rows, int step, Widen widen) {
  memcpy(fragments[current], a, 16);
  __syncwarp();
  int warp = current / WARP;
  int lane = current & (WARP - 1);
  const unsigned short* b = static_cast<const unsigned short*>(rows);
  for (int i = 0; i < COLUMNS / 2; i++) {
    int half = (i >> 1) & 1;
    int column = i / 4 * 8 + 2 * (lane & 3) + (i & 1);
    double sum = c[i];
    for (int k = 0; k < 16; k++) {
      unsigned pair = fragments[WARP * warp + (lane & ~3) + ((k & 7) >> 1)][half + (k >> 3) * 2];
      int piece = 2 * step + (k >> 3);
      unsigned short y = b[8 * (8 * column + (piece ^ (column & 7))) + (k & 7)];
      sum += double(widen((unsigned short)(pair >> 16 * (k & 1)))) * widen(y);
    }
    c[i] = float(sum);
  }
  __syncwarp();
}
}  // namespace shim

template <int COLUMNS>
void startProduct(float* c, const unsigned* a, const void* rows, int step) {
  shim::product<COLUMNS>(c, a, rows, step,
                         [](unsigned short x) { return __uint_as_float(unsigned(x) << 16); });
}

inline void startHalfProduct(float* c, const unsigned* a, const void* rows, int step) {
  shim::product<64>(c, a, rows, step, halfToFloat);
}

inline void storeTransposedMatrices(void* row, const unsigned* r) {
  shim::rowPointers[shim::current] = row;
  __syncwarp();
  int first = shim::current / shim::WARP * shim::WARP;
  int lane = shim::current & (shim::WARP - 1);
  for (int i = 0; i < 4; i++) {
    for (int half = 0; half < 2; half++) {
      void* to = const_cast<void*>(shim::rowPointers[first + 8 * i + 2 * (lane & 3) + half]);
      static_cast<unsigned short*>(to)[lane / 4] = (unsigned short)(r[i] >> (16 * half));
    }
  }
  __syncwarp();
}

inline unsigned pinned(unsigned value) { return value; }
inline unsigned place(unsigned word, unsigned mask, unsigned base) { return (word & mask) | base; }

inline int clusterRank() { return shim::rankOf(shim::current); }
inline void syncCluster() { shim::await(shim::cluster); }

inline void loadFromCluster(float* values, const float* p, int rank) {
  size_t offset =
      reinterpret_cast<const unsigned char*>(p) - shim::dynamicShared[shim::rankOf(shim::current)];
  memcpy(values, shim::dynamicShared[rank] + offset, 16);
}

template <int COUNT>
void takeRegisters() {}

template <int COUNT>
void leaveRegisters() {}

template <int THREADS>
void syncFirst() {
  shim::first.end = THREADS;
  shim::first.members = THREADS;
  shim::await(shim::first);
}

/** As EmulatedDriver encodes it. */
struct alignas(64) BoxMap {
  const unsigned char* data;
  long long columns;
  long long rows;
  long long pitch;
  int boxColumns;
  int boxRows;
  int elementBytes;
  int swizzled;
  int unused[20];
};
static_assert(sizeof(BoxMap) == 128, "as the driver's");

struct PhaseBarrier;

namespace shim {
/** A copy of a box that is under way: its target holds NaN until somebody waits for it. */
struct BoxCopy {
  unsigned char* to;
  BoxMap map;
  int column;
  int row;

  int bytes() const { return map.boxColumns * map.elementBytes; }
  void begin() const { memset(to, 0xff, size_t(bytes()) * map.boxRows); }

  void end() const {
    for (int r = 0; r < map.boxRows; r++) {
      for (int b = 0; b < bytes(); b++) {
        long long c = column + b / map.elementBytes;
        bool inside = row + r < map.rows && c < map.columns;
        const unsigned char* from =
            map.data + (row + r) * map.pitch + column * map.elementBytes + b;
        int piece = map.swizzled ? (b / 16) ^ (r & 7) : b / 16;
        to[r * bytes() + 16 * piece + b % 16] = inside ? *from : 0;
      }
    }
  }
};

/** What a barrier waits for: the bytes it still lacks, and the copies that bring them. */
struct Boxes {
  int lacking;
  std::vector<BoxCopy> copies;
};

static std::map<const PhaseBarrier*, Boxes> boxes;

void forgetBoxes() { boxes.clear(); }
}  // namespace shim

/** Boxes arrive when a thread waits for them. */
struct PhaseBarrier {
  int arrivals;
  short arrived;
  short phase;

  void init(int count) { *this = {count, 0, 0}; }
  static void publish() {}

  void arrive() {
    if (++arrived == arrivals) {
      arrived = 0;
      phase ^= 1;
    }
  }

  void arriveExpecting(int bytes) { shim::boxes[this].lacking = bytes; }

  void await(int ofPhase) const {
    while (phase == ofPhase) {
      auto begun = shim::boxes.find(this);
      if (begun != shim::boxes.end() && begun->second.lacking == 0) {
        for (const shim::BoxCopy& copy : begun->second.copies) {
          copy.end();
        }
        shim::boxes.erase(begun);
        const_cast<PhaseBarrier*>(this)->arrive();
      } else {
        shim::yield();
      }
    }
  }
};

inline void startBoxCopy(void* to, const BoxMap& map, int column, int row, PhaseBarrier& arrived) {
  shim::Boxes& begun = shim::boxes[&arrived];
  begun.copies.push_back({static_cast<unsigned char*>(to), map, column, row});
  begun.copies.back().begin();
  begun.lacking -= begun.copies.back().bytes() * map.boxRows;
}
