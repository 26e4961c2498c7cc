package dev.gptq.quantizer.export;

/**
 * Machines that people run models on, with the memory and the bandwidth that their makers' data
 * sheets give. A tenth of the memory is left to the program and its activations, as vLLM does.
 */
public enum Machine {
  /** A processor with two channels of 64 bits. */
  DESKTOP("desktop, 64 GB of DDR5-5600 in two channels", Kind.CPU, 64, 89.6),
  /** The processor with 40 GPU cores. */
  M4_MAX("Apple M4 Max, 64 GB", Kind.APPLE, 64, 546),
  /** A card for games. */
  RTX_4090("GeForce RTX 4090, 24 GB", Kind.NVIDIA, 24, 1008),
  /** With SXM. */
  A100("A100, 80 GB", Kind.NVIDIA, 80, 2039),
  /** With SXM. */
  H100("H100, 80 GB", Kind.NVIDIA, 80, 3350),
  /** With SXM. */
  H200("H200, 141 GB", Kind.NVIDIA, 141, 4800);

  /** What a program must have been made for. */
  public enum Kind {
    /** Processors of any make. */
    CPU,
    /** Apple's processors with their GPU. */
    APPLE,
    /** CUDA. */
    NVIDIA
  }

  private static final double USABLE = 0.9;

  private final String title;
  private final Kind kind;
  private final long gibibytes;
  private final double bandwidth;

  Machine(String title, Kind kind, long gibibytes, double gigabytesPerSecond) {
    this.title = title;
    this.kind = kind;
    this.gibibytes = gibibytes;
    this.bandwidth = 1e9 * gigabytesPerSecond;
  }

  /** What it is called. */
  public String title() {
    return title;
  }

  /** What a program must have been made for. */
  public Kind kind() {
    return kind;
  }

  /** Bytes of the memory that weights and caches may take. */
  public long room() {
    return (long) (USABLE * (gibibytes << 30));
  }

  /** Bytes a second that its memory gives. */
  public double bandwidth() {
    return bandwidth;
  }
}
