// The copy engine of compute capability 9.0, which brings a box of a matrix to shared memory for one
// instruction of one thread, and the barriers that count the bytes that have arrived.
#pragma once
#include "mma.cuh"

#ifndef GPTQ_HOST_SHIM
/** A matrix and the boxes it is copied in, encoded by the driver (cuTensorMapEncodeTiled). */
struct alignas(64) BoxMap {
  u64 words[16];
};

/**
 * A barrier in shared memory. A phase ends when as many threads as it was made for have arrived and
 * all expected bytes have; phases are numbered 0, 1, 0, …, and waiting for phase 1 of a barrier in
 * its first phase does not wait.
 */
struct PhaseBarrier {
  u64 state;

  __device__ void init(int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(sharedAddress(this)),
                 "r"(arrivals));
  }

  /** Lets the copy engine see the barriers this thread has made. */
  __device__ static void publish() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }

  __device__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(sharedAddress(this)) : "memory");
  }

  /** Arrives, and makes the phase wait for that many bytes of copies. */
  __device__ void arriveExpecting(int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(
                     sharedAddress(this)),
                 "r"(bytes)
                 : "memory");
  }

  /** Waits for the end of a phase. */
  __device__ void await(int phase) const {
    asm volatile(
        "{\n.reg .pred ended;\nAGAIN:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n"
        "@ended bra ENDED;\nbra AGAIN;\nENDED:\n}" ::"r"(sharedAddress(this)),
        "r"(phase)
        : "memory");
  }
};

/** Starts copying the box whose first element is [row][column]; what lies outside becomes zero. */
__device__ inline void startBoxCopy(void* to, const BoxMap& map, int column, int row,
                                    PhaseBarrier& arrived) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
      "[%0], [%1, {%2, %3}], [%4];" ::"r"(sharedAddress(to)),
      "l"(&map), "r"(column), "r"(row), "r"(sharedAddress(&arrived))
      : "memory");
}

/** Lets the warps of this group of four have that many registers a thread. */
template <int COUNT>
__device__ inline void takeRegisters() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

/** Leaves all but that many registers a thread to other warps. */
template <int COUNT>
__device__ inline void leaveRegisters() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

/** A barrier of the first THREADS threads of the block. */
template <int THREADS>
__device__ inline void syncFirst() {
  asm volatile("bar.sync 1, %0;" ::"n"(THREADS) : "memory");
}
#endif
