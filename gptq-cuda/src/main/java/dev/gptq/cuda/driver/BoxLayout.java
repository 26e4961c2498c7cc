package dev.gptq.cuda.driver;

/**
 * A matrix in device memory that the copy engine of compute capability 9.0 copies in boxes. Boxes
 * may reach beyond it: what lies outside is copied as zeros.
 *
 * @param element type of the elements
 * @param address where it begins, a multiple of 16
 * @param columns elements of a row
 * @param rows number of rows
 * @param pitch bytes from a row to the next, a multiple of 16
 * @param boxColumns columns of a box, at most 256
 * @param boxRows rows of a box, at most 256
 * @param swizzled whether the rows of a box, 128 bytes each, have their pieces of 16 bytes permuted
 *     as wgmma.cuh describes
 */
public record BoxLayout(
    Element element,
    long address,
    long columns,
    long rows,
    long pitch,
    int boxColumns,
    int boxRows,
    boolean swizzled) {

  /** Bytes of an encoded layout. */
  public static final int ENCODED_BYTES = 128;

  /** A type of elements: its number in {@code CUtensorMapDataType} and its size. */
  public enum Element {
    /** Unsigned integers of 32 bits. */
    INTEGER(2, 4),
    /** float16. */
    HALF(6, 2),
    /** bfloat16. */
    BFLOAT(9, 2);

    private final int code;
    private final int bytes;

    Element(int code, int bytes) {
      this.code = code;
      this.bytes = bytes;
    }

    /** The number that the driver knows it by. */
    public int code() {
      return code;
    }

    /** Bytes of an element. */
    public int bytes() {
      return bytes;
    }
  }
}
