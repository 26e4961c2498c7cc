package dev.gptq.models.forward;

import dev.gptq.formats.safetensors.Checkpoint;
import dev.gptq.formats.safetensors.StoredTensor;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What the field's reference implementation computes, in float32. */
final class Expected {
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfFloat FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final List<int[]> windows;
  private final List<float[]> hidden;
  private final float[] logits;

  private Expected(List<int[]> windows, List<float[]> hidden, float[] logits) {
    this.windows = windows;
    this.hidden = hidden;
    this.logits = logits;
  }

  /** Token ids. */
  List<int[]> windows() {
    return windows;
  }

  /**
   * The residual stream before each block and, last, what the head reads; empty where only the
   * logits are known.
   */
  List<float[]> hidden() {
    return hidden;
  }

  /** The logits of all positions. */
  float[] logits() {
    return logits;
  }

  static Expected read(Path folder) throws IOException {
    try (Checkpoint file = Checkpoint.open(folder.resolve("expected.safetensors"))) {
      StoredTensor ids = file.require("input_ids");
      List<int[]> windows = new ArrayList<>();
      for (int w = 0; w < ids.rows(); w++) {
        int[] window = new int[ids.columns()];
        for (int t = 0; t < window.length; t++) {
          window[t] =
              (int) ids.data().getAtIndex(LONG, Math.multiplyExact((long) w, window.length) + t);
        }
        windows.add(window);
      }
      List<float[]> hidden = new ArrayList<>();
      while (file.find("hidden_" + hidden.size()).isPresent()) {
        hidden.add(floats(file.require("hidden_" + hidden.size())));
      }
      return new Expected(windows, hidden, floats(file.require("logits")));
    }
  }

  private static float[] floats(StoredTensor tensor) {
    return tensor.data().toArray(FLOAT);
  }
}
