package dev.gptq.data;

import com.github.luben.zstd.ZstdIOException;
import com.github.luben.zstd.ZstdInputStream;
import dev.gptq.models.text.Compression;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.zip.ZipException;

/** What {@code zstd} writes. */
public final class Zstandard implements Compression {
  @Override
  public String id() {
    return "zstd";
  }

  @Override
  public String ending() {
    return ".zst";
  }

  @Override
  public InputStream open(InputStream raw) throws IOException {
    return new Decompressed(new ZstdInputStream(raw));
  }

  /** Tells damage as the decompressors of the JDK do. */
  private static final class Decompressed extends FilterInputStream {
    Decompressed(InputStream input) {
      super(input);
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int count) throws IOException {
      try {
        return super.read(buffer, offset, count);
      } catch (ZstdIOException e) {
        ZipException damage = new ZipException(e.getMessage());
        damage.initCause(e);
        throw damage;
      }
    }
  }
}
