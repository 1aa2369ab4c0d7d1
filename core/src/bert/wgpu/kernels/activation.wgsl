// What follows a linear layer. Built-in `tanh` may be wrong by 1e-5 (WGSL §15.7.4), `exp` is right to some units in the last place.

const GELU: u32 = 1u;
const GELU_TANH: u32 = 2u;
const TANH: u32 = 3u;

// x·Φ(x), with Φ from the Chebyshev fit of erfc in Press et al., Numerical Recipes §6.2 (1.2e-7 relative).
fn gelu(x: vec4<f32>) -> vec4<f32> {
    let z = abs(x) * 0.70710678;
    let t = 1.0 / (1.0 + 0.5 * z);
    var polynomial = t * 0.17087277 - 0.82215223;
    polynomial = polynomial * t + 1.48851587;
    polynomial = polynomial * t - 1.13520398;
    polynomial = polynomial * t + 0.27886807;
    polynomial = polynomial * t - 0.18628806;
    polynomial = polynomial * t + 0.09678418;
    polynomial = polynomial * t + 0.37409196;
    polynomial = polynomial * t + 1.00002368;
    polynomial = polynomial * t - 1.26551223;
    let tail = 0.5 * t * exp(polynomial - z * z);
    return x * select(1.0 - tail, tail, x < vec4<f32>(0.0));
}

// 0.5·x·(1 + tanh u) is x times the logistic function of 2u. Limits keep `exp` from overflowing; the result is exact beyond them.
fn gelu_tanh(x: vec4<f32>) -> vec4<f32> {
    let u = 0.79788456 * (x + 0.044715 * x * x * x);
    return x / (1.0 + exp(clamp(-2.0 * u, vec4<f32>(-80.0), vec4<f32>(80.0))));
}

fn exact_tanh(x: vec4<f32>) -> vec4<f32> {
    return 1.0 - 2.0 / (1.0 + exp(clamp(2.0 * x, vec4<f32>(-80.0), vec4<f32>(80.0))));
}

fn activate(x: vec4<f32>, then: u32) -> vec4<f32> {
    switch then {
        case GELU: { return gelu(x); }
        case GELU_TANH: { return gelu_tanh(x); }
        case TANH: { return exact_tanh(x); }
        default: { return x; }
    }
}
