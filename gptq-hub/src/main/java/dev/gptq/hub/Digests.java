package dev.gptq.hub;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** Hashes by which the hub knows files. */
final class Digests {
  private static final int BUFFER = 1 << 20;

  private Digests() {}

  /** SHA-256 of the bytes of a file. */
  static String sha256(Path file) throws IOException {
    return of(MessageDigests.SHA_256.create(), file);
  }

  /** The id that git gives a file: SHA-1 over a header with its length, and its bytes. */
  static String git(Path file) throws IOException {
    MessageDigest digest = MessageDigests.SHA_1.create();
    digest.update(("blob " + Files.size(file) + "\0").getBytes(StandardCharsets.US_ASCII));
    return of(digest, file);
  }

  /** The one of both that has as many digits as another digest. */
  static String like(String digest, Path file) throws IOException {
    return digest.length() == 64 ? sha256(file) : git(file);
  }

  private static String of(MessageDigest digest, Path file) throws IOException {
    byte[] buffer = new byte[BUFFER];
    try (InputStream input = Files.newInputStream(file)) {
      for (int n = input.read(buffer); n >= 0; n = input.read(buffer)) {
        digest.update(buffer, 0, n);
      }
    }
    return HexFormat.of().formatHex(digest.digest());
  }

  private enum MessageDigests {
    SHA_1("SHA-1"),
    SHA_256("SHA-256");

    private final String algorithm;

    MessageDigests(String algorithm) {
      this.algorithm = algorithm;
    }

    MessageDigest create() {
      try {
        return MessageDigest.getInstance(algorithm);
      } catch (NoSuchAlgorithmException e) {
        throw new AssertionError("every Java platform has " + algorithm, e);
      }
    }
  }
}
