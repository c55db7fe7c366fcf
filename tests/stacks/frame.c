// A library whose one function has a frame of `SIZE` bytes, compiled twice: both have it at the same place.

void through(void (*call)(void));

void through(void (*call)(void))
{
    volatile char frame[SIZE];
    frame[0] = 1;
    call();
    frame[1] = frame[0];
}
