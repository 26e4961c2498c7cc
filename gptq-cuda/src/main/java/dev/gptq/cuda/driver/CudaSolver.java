package dev.gptq.cuda.driver;

/** The part of cuSOLVER that the backend uses. Matrices have contiguous columns. */
public interface CudaSolver extends AutoCloseable {

  /** Elements of workspace that {@link #cholesky} needs for n × n matrices. */
  int choleskyWorkspace(int n, long a, int stride);

  /**
   * The lower triangle of A becomes L with {@code LLᵀ = A}. {@code info} (an int on the device)
   * becomes 0, or the order of the minor that is not positive definite.
   */
  void cholesky(int n, long a, int stride, long workspace, int elements, long info);

  /** The version, {@code major.minor.patch}. */
  String version();

  @Override
  void close();
}
