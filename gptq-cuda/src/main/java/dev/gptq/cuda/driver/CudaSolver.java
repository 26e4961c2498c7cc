package dev.gptq.cuda.driver;

/** The part of cuSOLVER that the backend uses. Matrices have contiguous columns. */
public interface CudaSolver extends AutoCloseable {

  /** Bytes of workspace on the device that {@link #cholesky} needs for n × n matrices. */
  long choleskyWorkspace(int n, long a, long stride);

  /**
   * The lower triangle of A becomes L with {@code LLᵀ = A}. {@code info} (an int on the device)
   * becomes 0, or the order of the minor that is not positive definite.
   */
  void cholesky(int n, long a, long stride, long workspace, long bytes, long info);

  /** The version, {@code major.minor.patch}. */
  String version();

  @Override
  void close();
}
