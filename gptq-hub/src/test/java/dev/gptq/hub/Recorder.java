package dev.gptq.hub;

import java.util.ArrayList;
import java.util.List;

/** Keeps what a transfer says. */
final class Recorder implements TransferListener {
  final List<String> notes = new ArrayList<>();
  final List<TransferProgress> progress = new ArrayList<>();

  @Override
  public void note(String line) {
    notes.add(line);
  }

  @Override
  public void progress(TransferProgress now) {
    progress.add(now);
  }
}
