import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.zip.Deflater;

/** Threads of a JVM that compiles, collects, and takes native memory. */
class Collected {
  static long work(int seed) {
    long sum = 0;
    for (int round = 0; round < 200; ++round) {
      byte[] text = ("round " + round * seed).repeat(200).getBytes();
      Deflater deflater = new Deflater();
      deflater.setInput(text);
      deflater.finish();
      byte[] out = new byte[text.length + 64];
      sum = sum * 31 + deflater.deflate(out);
      deflater.end();
    }
    return sum;
  }

  public static void main(String[] arguments) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    List<Callable<Long>> tasks = new ArrayList<>();
    for (int seed = 1; seed <= 8; ++seed) {
      int number = seed;
      tasks.add(() -> work(number));
    }
    for (var result : pool.invokeAll(tasks)) {
      System.out.println(result.get());
    }
    pool.shutdown();
    System.exit(6);
  }
}
