/* Drives one compiled device without a simulator. DEVICE is the C file of the device.
 * Standard input: "charged" (from here on as the device with a capacitance), "temperature K",
 * "frequency F", "set NAME X", "start", "try TIME VOLTAGE", "op VOLTAGE", "dc VOLTAGE" (once a
 * simulator has evaluated it until nothing changes), "once VOLTAGE" (one iteration of it), "show",
 * "ask NAME",
 * "alpha A" (factor of charges in a transient, 1/s), "jacobian". */
#include DEVICE
#include <stdio.h>

static Model *model;
static Instance *device;

static const Descriptor *D = OSDI_DESCRIPTORS;
static double temperature = 300.15, frequency = 1e3, alpha = 0.0;

static void start(void)
{
    InitInfo info;
    SimulatorParameters none = { 0 };
    D->setup_model(NULL, model, &none, &info);
    free(info.errors);
    D->setup_instance(NULL, device, model, temperature, 2, &none, &info);
    for (uint32_t i = 0; i < info.count; i++)
        printf("refused %s\n", D->parameters[info.errors[i].parameter].names[0]);
    free(info.errors);
}

static uint32_t evaluated(double time, double voltage, uint32_t flags)
{
    double solution[3] = { 0.0, voltage, 0.0 };
    SimulatorInfo info = { .time = time, .solution = solution, .flags = flags };
    device->node[0] = 1;
    device->node[1] = 2;
    return D->evaluate(NULL, device, model, &info);
}

static void evaluate_at(double time, double voltage, uint32_t flags)
{
    double solution[3] = { 0.0, voltage, 0.0 }, matrix[4] = { 0.0 }, rhs[3] = { 0.0 };
    SimulatorInfo info = { .time = time, .solution = solution, .flags = flags };
    device->node[0] = 1;
    device->node[1] = 2;
    for (int i = 0; i < 4; i++)
        device->jacobian[i] = &matrix[i];
    if (D->evaluate(NULL, device, model, &info) & EVALUATION_FATAL)
        printf("fatal\n");
    D->load_jacobian_transient(device, model, alpha);
    D->load_spice_transient(device, model, rhs, solution, alpha);
    double density[2];
    D->load_noise(device, model, frequency, density);
    /* matrix * solution - rhs is the current out of the first node. */
    double current = matrix[0] * voltage - rhs[1];
    printf("%.17g %.17g", current, device->bound_step);
    for (uint32_t i = 0; i < D->noise_count; i++)
        printf(" %.17g", density[i]);
    printf("\n");
}

static uint32_t id_of(const char *name)
{
    uint32_t id = 0;
    while (id < D->parameter_count && strcmp(D->parameters[id].names[0], name) != 0)
        id++;
    return id;
}

static void set(const char *name, double value)
{
    uint32_t id = id_of(name);
    if (id == D->parameter_count)
        return;
    uint32_t flags = ACCESS_SET | (id < D->instance_parameter_count ? ACCESS_INSTANCE : 0);
    double *place = D->access(device, model, id, flags);
    *place = value;
}

/* What versions since 0.4 add: the first entry of the Jacobian, loaded, written and loaded at an
 * offset, resistive and reactive; and whether the seed was given. */
static void show_jacobian(void)
{
#ifdef UNITS
    double loaded[2][4] = { { 0.0 } }, written[2][4] = { { 0.0 } }, at[2][8] = { { 0.0 } };
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < 4; i++) {
            device->jacobian[i] = pass ? &at[0][i] : &loaded[0][i];
            device->reactive_jacobian[i] = pass ? &at[1][i] : &loaded[1][i];
        }
        if (pass == 0) {
            D->load_jacobian_resistive(device, model);
            D->load_jacobian_reactive(device, model, 1.0);
        } else {
            D->load_jacobian_resistive_at(device, model, 4);
            D->load_jacobian_reactive_at(device, model, 4);
        }
    }
    if (D->resistive_count > 0)
        D->write_jacobian_resistive(device, model, written[0]);
    if (D->reactive_count > 0)
        D->write_jacobian_reactive(device, model, written[1]);
    for (int k = 0; k < 2; k++)
        printf("%.17g %.17g %.17g ", loaded[k][0], written[k][0], at[k][4]);
    printf("%u", D->is_given_instance(device, id_of("seed")));
#endif
    printf("\n");
}

int main(void)
{
    char line[256], name[64];
    double x, y;
    model = calloc(1, D->model_size);
    device = aligned_alloc(16, D->instance_size);
    memset(device, 0, D->instance_size);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "set %63s %lf", name, &x) == 2)
            set(name, x);
        else if (sscanf(line, "temperature %lf", &x) == 1)
            temperature = x;
        else if (sscanf(line, "frequency %lf", &x) == 1)
            frequency = x;
        else if (sscanf(line, "alpha %lf", &x) == 1)
            alpha = x;
        else if (sscanf(line, "ask %63s", name) == 1)
            printf("%.17g\n", *(double *)D->access(device, model, id_of(name), ACCESS_INSTANCE));
        else if (strncmp(line, "start", 5) == 0)
            start();
        else if (strncmp(line, "jacobian", 8) == 0)
            show_jacobian();
        else if (strncmp(line, "charged", 7) == 0)
            D = OSDI_DESCRIPTORS + 1;
        else if (sscanf(line, "try %lf %lf", &x, &y) == 2)
            evaluate_at(x, y, ANALYSIS_TRANSIENT | CALCULATE_REACTIVE_JACOBIAN);
        else if (sscanf(line, "op %lf", &x) == 1)
            evaluate_at(0.0, x, 0);
        else if (sscanf(line, "once %lf", &x) == 1)
            evaluated(0.0, x, ANALYSIS_DC);
        else if (sscanf(line, "dc %lf", &x) == 1) {
            while (evaluated(0.0, x, ANALYSIS_DC) & EVALUATION_LIMITED)
                ;
            evaluate_at(0.0, x, ANALYSIS_DC);
        }
        else if (strncmp(line, "show", 4) == 0) {
            for (uint32_t id = D->parameter_count; id < D->parameter_count + D->operating_point_count;
                 id++)
                printf("%s=%.17g ", D->parameters[id].names[0],
                       *(double *)D->access(device, model, id, 0));
            printf("\n");
        }
    }
    free(device->replaced);
    free(model);
    free(device);
    return 0;
}
