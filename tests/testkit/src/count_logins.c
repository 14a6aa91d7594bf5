/* A PKCS#11 module that is MODULE, and writes one octet to the file LOGINS for each login. */

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

typedef unsigned long word;
typedef word (*login)(word session, word user, unsigned char *pin, word length);

/* CK_FUNCTION_LIST of PKCS#11 2.40: C_Login is the function at 18. */
struct list {
    unsigned char version[2];
    void *functions[68];
};
enum { LOGIN = 18 };

static struct list ours;
static login real_login;

static word counted_login(word session, word user, unsigned char *pin, word length) {
    FILE *file = fopen(LOGINS, "a");
    if (file != NULL) {
        fputc('.', file);
        fclose(file);
    }
    return real_login(session, user, pin, length);
}

word C_GetFunctionList(struct list **list) {
    void *module = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
    word (*theirs)(struct list **) = module == NULL ? NULL : dlsym(module, "C_GetFunctionList");
    struct list *found;
    word failed = theirs == NULL ? 5 : theirs(&found);
    if (failed) {
        return failed;
    }
    memcpy(&ours, found, sizeof ours);
    real_login = (login)ours.functions[LOGIN];
    ours.functions[LOGIN] = (void *)counted_login;
    *list = &ours;
    return 0;
}
