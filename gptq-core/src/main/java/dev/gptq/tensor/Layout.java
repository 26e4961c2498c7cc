package dev.gptq.tensor;

/** Which index of a matrix runs through contiguous memory. */
public enum Layout {
  /** Elements of a row are contiguous. */
  ROW_MAJOR,
  /** Elements of a column are contiguous. */
  COLUMN_MAJOR;

  /** The layout of the transposed matrix over the same memory. */
  public Layout transposed() {
    return this == ROW_MAJOR ? COLUMN_MAJOR : ROW_MAJOR;
  }
}
