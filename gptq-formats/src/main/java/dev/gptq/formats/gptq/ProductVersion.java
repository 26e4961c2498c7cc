package dev.gptq.formats.gptq;

import com.google.common.io.Resources;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;

/** The version of this program, which the build writes into a resource. */
final class ProductVersion {
  private ProductVersion() {}

  static String get() {
    try {
      return Resources.toString(
              Resources.getResource(ProductVersion.class, "version.txt"), StandardCharsets.UTF_8)
          .strip();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
