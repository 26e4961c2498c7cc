package dev.gptq.cuda;

import dev.gptq.cuda.driver.CudaBlas;
import dev.gptq.cuda.driver.CudaSolver;
import java.util.function.LongFunction;

/**
 * NVIDIA's libraries; each stream has handles of its own.
 *
 * @param blas makes a handle for a stream of the current context
 * @param solver makes a handle for a stream of the current context
 */
record CudaLibraries(LongFunction<CudaBlas> blas, LongFunction<CudaSolver> solver) {}
