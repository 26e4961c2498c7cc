package dev.gptq.cuda.driver;

/** The part of cuBLAS that the backend uses. Matrices have contiguous columns, as cuBLAS has it. */
public interface CudaBlas extends AutoCloseable {

  /** Element types of a product, with cuBLAS's codes. */
  enum Element {
    /** binary32. */
    F32(0),
    /** binary16. */
    F16(2),
    /** bfloat16. */
    BF16(14);

    private final int code;

    Element(int code) {
      this.code = code;
    }

    int code() {
      return code;
    }
  }

  /**
   * A matrix operand.
   *
   * @param address device address of the first element
   * @param stride elements from one column to the next
   * @param transposed whether the product takes the transposed matrix; never for a result
   * @param element element type
   */
  record Operand(long address, long stride, boolean transposed, Element element) {}

  /** {@code C ← α·A·B + β·C}, A m × k, B k × n, C m × n, with sums in float32 and no TF32. */
  void gemm(int m, int n, int k, float alpha, Operand a, Operand b, float beta, Operand c);

  /** The same with the float32 numbers at two addresses of the device's memory as α and β. */
  void gemmOfDeviceScalars(
      int m, int n, int k, long alpha, Operand a, Operand b, long beta, Operand c);

  /**
   * {@code C_i ← α·A_i·B_i + β·C_i} for i = 0 … count−1, where operand i lies {@code i} times its
   * step (in elements) after the first.
   */
  void gemmBatch(
      int m,
      int n,
      int k,
      float alpha,
      Operand a,
      long stepA,
      Operand b,
      long stepB,
      float beta,
      Operand c,
      long stepC,
      int count);

  /** The version, {@code major.minor.patch}. */
  String version();

  @Override
  void close();
}
