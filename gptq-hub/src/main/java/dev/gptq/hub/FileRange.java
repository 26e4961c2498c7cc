package dev.gptq.hub;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.Flow.Subscriber;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A part of a file, not empty, as the body of a request. An attempt that is repeated takes its
 * bytes back.
 */
final class FileRange implements BodyPublisher {
  private final Path file;
  private final long start;
  private final long length;
  private final Meter meter;
  private final AtomicLong counted = new AtomicLong();

  FileRange(Path file, long start, long length, Meter meter) {
    this.file = file;
    this.start = start;
    this.length = length;
    this.meter = meter;
  }

  @Override
  public long contentLength() {
    return length;
  }

  @Override
  public void subscribe(Subscriber<? super ByteBuffer> subscriber) {
    long earlier = counted.getAndSet(0);
    if (earlier > 0) {
      meter.skip(-earlier);
    }
    BodyPublishers.fromPublisher(BodyPublishers.ofInputStream(this::open), length)
        .subscribe(subscriber);
  }

  private InputStream open() {
    try {
      FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
      channel.position(start);
      return new Counted(Channels.newInputStream(channel));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Ends where the part does, and counts what is read. */
  private final class Counted extends InputStream {
    private final InputStream input;
    private long left = length;

    private Counted(InputStream input) {
      this.input = input;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] buffer, int offset, int count) throws IOException {
      if (left == 0) {
        return -1;
      }
      int n = input.read(buffer, offset, (int) Math.min(count, left));
      if (n < 0) {
        throw new EOFException(file + " became shorter while it was sent");
      }
      left -= n;
      counted.addAndGet(n);
      meter.add(n);
      return n;
    }

    @Override
    public void close() throws IOException {
      input.close();
    }
  }
}
