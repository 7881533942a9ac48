// Differentiates through the installed library.
#include <tidu/tidu.h>

int main() { return 0; }
