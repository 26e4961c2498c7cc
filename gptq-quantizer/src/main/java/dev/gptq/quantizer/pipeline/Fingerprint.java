package dev.gptq.quantizer.pipeline;

import com.google.common.hash.Hasher;
import com.google.common.hash.Hashing;
import java.nio.charset.StandardCharsets;
import java.util.List;

/** A short name for everything that decides the result of a quantization. */
public final class Fingerprint {
  private final Hasher hasher = Hashing.sha256().newHasher();

  /** Takes in a value by its text. */
  public Fingerprint add(Object value) {
    String text = String.valueOf(value);
    hasher.putInt(text.length()).putString(text, StandardCharsets.UTF_8);
    return this;
  }

  /** Takes in windows of token ids. */
  public Fingerprint add(List<int[]> windows) {
    for (int[] window : windows) {
      hasher.putInt(window.length);
      for (int token : window) {
        hasher.putInt(token);
      }
    }
    return this;
  }

  /** Twelve hexadecimal digits. */
  public String text() {
    return hasher.hash().toString().substring(0, 12);
  }
}
