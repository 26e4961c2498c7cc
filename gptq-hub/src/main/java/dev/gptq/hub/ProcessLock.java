package dev.gptq.hub;

import com.google.common.util.concurrent.Striped;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.locks.Lock;

/**
 * Keeps threads and processes from loading the same blob at once. It saves them work and no more: a
 * blob gets its name only when it is whole and checked, whoever else writes beside it.
 */
final class ProcessLock implements AutoCloseable {
  private static final long PAUSE = 200;

  /** File locks belong to a process, and closing any channel of the file gives them up. */
  private static final Striped<Lock> THREADS = Striped.lazyWeakLock(4096);

  private final Lock thread;
  private final FileChannel channel;

  private ProcessLock(Lock thread, FileChannel channel) {
    this.thread = thread;
    this.channel = channel;
  }

  /** Waits for the lock; {@code waiting} runs once if another process has it. */
  static ProcessLock take(Path file, Runnable waiting) throws IOException {
    Files.createDirectories(file.getParent());
    Lock thread = THREADS.get(file.getParent().toRealPath().resolve(file.getFileName()));
    FileChannel channel = null;
    boolean taken = false;
    try {
      thread.lockInterruptibly();
      taken = true;
      channel = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
      FileLock lock = channel.tryLock();
      if (lock == null) {
        waiting.run();
      }
      while (lock == null) {
        Thread.sleep(PAUSE);
        lock = channel.tryLock();
      }
      ProcessLock result = new ProcessLock(thread, channel);
      taken = false;
      return result;
    } catch (InterruptedException e) {
      throw Attempts.interrupted(e);
    } finally {
      if (taken) {
        if (channel != null) {
          channel.close();
        }
        thread.unlock();
      }
    }
  }

  @Override
  public void close() throws IOException {
    try {
      channel.close();
    } finally {
      thread.unlock();
    }
  }
}
